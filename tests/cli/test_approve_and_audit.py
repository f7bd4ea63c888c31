"""`tp-mcp approve` and `tp-mcp audit`, as their users run them."""

import asyncio
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.access.test_proposal import PROPOSAL
from tp_mcp.access.audit_log import AuditEntry, Event
from tp_mcp.access.confirmations import Confirmations
from tp_mcp.access.policy import Action
from tp_mcp.cli.commands import app
from tp_mcp.clock import SystemClock
from tp_mcp.storage.opening import open_storage
from tp_mcp.watch.model.watch import Owner

pytestmark = pytest.mark.slow


ALICE = Owner("local:alice", "chat-1", exact=True)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TP_MCP_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


def asked(state: Path) -> str:
    async def ask() -> str:
        async with await open_storage(state) as storage:
            return await Confirmations(storage.confirmations, SystemClock()).ask(ALICE, PROPOSAL, by_person=True)

    return asyncio.run(ask())


def redeemed(state: Path, code: str) -> None:
    async def redeem() -> None:
        async with await open_storage(state) as storage:
            confirmations = Confirmations(storage.confirmations, SystemClock())
            await confirmations.redeem(code, ALICE, PROPOSAL, by_person=False)

    asyncio.run(redeem())


def at_a_terminal(*arguments: str, typed: str) -> tuple[int, str]:
    """Run a command at a real terminal; return its exit code and what it printed."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "tp_mcp", *arguments], stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        os.close(theirs)
        os.write(ours, typed.encode())
        printed, _ = process.communicate(timeout=30)
    os.close(ours)
    return process.returncode, printed.decode()


def test_a_person_sees_the_plan_and_approves_by_the_testbeds_name(state: Path) -> None:
    code = asked(state)
    status, printed = at_a_terminal("approve", code, typed="AT16\n")
    assert status == 0, printed
    assert "local:alice asks, in chat-1:" in printed
    assert "Upgrade of AT16 to build 6957." in printed
    assert "Devices: nac1 10.0.0.1" in printed
    redeemed(state, code)
    assert "approved at a terminal by local:" in CliRunner().invoke(app, ["audit"]).output


def test_the_plan_that_a_person_sees_has_no_configured_secret(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TP_MCP_PASSWORD", "10.0.0.1")
    _, printed = at_a_terminal("approve", asked(state), typed="\n")
    assert "Devices: nac1 [redacted]" in printed


@pytest.mark.parametrize("typed", ["y\n", "\n", "AT17\n"])
def test_anything_else_approves_nothing(state: Path, typed: str) -> None:
    code = asked(state)
    status, printed = at_a_terminal("approve", code, typed=typed)
    assert status == 1
    assert "Not approved." in printed
    with pytest.raises(Exception, match="Nobody has approved it yet"):
        redeemed(state, code)


def test_an_unknown_code_is_said_to_be(state: Path) -> None:
    status, printed = at_a_terminal("approve", "c_123456789012", typed="AT16\n")
    assert status == 1
    assert "No question waits for this code" in printed


def test_it_does_not_take_its_answer_from_a_pipe(state: Path) -> None:
    code = asked(state)
    result = CliRunner().invoke(app, ["approve", code], input="AT16\n")
    assert result.exit_code == 1
    assert "Only a person at a terminal can approve" in result.output


def test_the_log_is_printed_for_people_and_for_programs(state: Path) -> None:
    async def write() -> None:
        storage = await open_storage(state)
        log = storage.audit
        for event in (Event.ASKED, Event.SENDING):
            await log.append(
                AuditEntry(
                    SystemClock().now(),
                    "a_1",
                    "local:alice",
                    "chat-1",
                    "start_upgrade",
                    event,
                    Action.UPGRADE,
                    "AT16",
                    "upgrade\x1b[31m of AT16",
                )
            )
        await storage.close()

    asyncio.run(write())
    first, second = CliRunner().invoke(app, ["audit"]).output.splitlines()
    assert first.endswith("a_1 local:alice start_upgrade AT16 asked: upgrade of AT16")
    assert second.endswith("sending: upgrade of AT16")
    last, said = CliRunner().invoke(app, ["audit", "--limit", "1"]).output.splitlines()
    assert last == second
    assert said == "Showing the newest 1 entries; --limit shows more."
    (line,) = CliRunner().invoke(app, ["audit", "--json", "--limit", "1"]).output.splitlines()
    assert json.loads(line)["event"] == "sending"
    assert CliRunner().invoke(app, ["audit", "--testbed", "AT17"]).output == ""


def test_what_cannot_be_read_is_said_in_words(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state.mkdir()
    (state / "watches.sqlite3").write_bytes(b"This is no database" * 100)
    result = CliRunner().invoke(app, ["audit"])
    assert result.exit_code == 1
    assert "is damaged" in result.output
    monkeypatch.setenv("TP_MCP_DAILY_RUNS", "many")
    wrong = CliRunner().invoke(app, ["audit"])
    assert wrong.exit_code == 1
    assert "TP_MCP_DAILY_RUNS" in wrong.output
