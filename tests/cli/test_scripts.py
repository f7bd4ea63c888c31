"""The commands for scripts, as real processes against the embedded TP on a port."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.patience import PATIENCE_SECONDS

LAB = "AT16_Combined_FSW"
POE = "Tests_CLI/test_poe.py"
SPEED = "200"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tp() -> Iterator[str]:
    command = [sys.executable, "-m", "tp_mcp", "simulate", "--port", "0", "--speed", SPEED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert found
        yield found[0]
        process.terminate()


@pytest.fixture
def environment(tp: str, tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "TP_MCP_BASE_URL": tp,
        "TP_MCP_USERNAME": "demo",
        "TP_MCP_PASSWORD": "demo-password",
        "TP_MCP_STATE_DIR": str(tmp_path / "state"),
        "TP_MCP_CONFIG_FILE": os.devnull,
        "TP_MCP_INTERVAL_FACTOR": "0.02",
    }


Ended = subprocess.CompletedProcess[str]


def tp_mcp(environment: dict[str, str], *arguments: str) -> Ended:
    return subprocess.run(
        [sys.executable, "-m", "tp_mcp", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def exec_id_in(text: str) -> str:
    found = re.search(r"\(execution (\d+)\)", text)
    assert found, text
    return found[1]


def test_upgrade_run_and_report_tell_by_their_exit_codes_how_it_went(environment: dict[str, str]) -> None:
    run = tp_mcp(environment, "run", LAB, POE)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "is done: passed (2 passed, 1 skipped)" in run.stdout
    assert "\x1b" not in run.stdout
    passed = exec_id_in(run.stdout)

    plan = tp_mcp(environment, "upgrade", LAB, "--build", "6957")
    assert plan.returncode == 2
    assert plan.stdout.startswith("Nothing was started yet: this is the plan.")
    code = re.search(r"--confirm (c_[0-9a-f]+)\.", plan.stdout)
    assert code, plan.stdout
    upgrade = tp_mcp(environment, "upgrade", LAB, "--build", "6957", "--confirm", code[1])
    assert upgrade.returncode == 0, upgrade.stdout + upgrade.stderr
    assert f"upgrade of {LAB} to build 6957 is done" in upgrade.stdout

    # Another argument: the same call again within a minute is answered with the first one's watch.
    run = tp_mcp(environment, "run", LAB, POE, "--argument", "-vv")
    assert run.returncode == 1
    assert "is done: failed (1 passed, 1 failed, 1 skipped)" in run.stdout
    failed = exec_id_in(run.stdout)
    assert f"tp-mcp report {failed} lists its tests." in run.stdout

    table = tp_mcp(environment, "report", failed)
    assert table.returncode == 1
    lines = [line.split("\t") for line in table.stdout.splitlines()]
    budget = f"{POE}::TestPoe::test_budget"
    told = "AssertionError: no 448E has a PoE budget of 370000 W"
    assert [(line[0], line[3]) for line in lines if line[0] == "failed"] == [("failed", budget)]
    assert [line[4] for line in lines if line[0] == "failed"] == [f"{told} ({POE}:15: AssertionError)"]
    report = json.loads(tp_mcp(environment, "report", failed, "--format", "json").stdout)
    assert (report["execution"]["id"], report["source"], report["complete"]) == (int(failed), "report", True)
    assert [test["message"] for test in report["tests"] if test["outcome"] == "failed"] == [told]
    junit = tp_mcp(environment, "report", failed, "--format", "junit").stdout
    [failure] = ElementTree.fromstring(junit.encode()).iter("failure")
    assert failure.get("message") == told
    assert tp_mcp(environment, "report", passed).returncode == 0
    assert tp_mcp(environment, "wait", failed).returncode == 1


def test_what_neither_passed_nor_failed_ends_with_two(environment: dict[str, str]) -> None:
    run = tp_mcp(environment, "run", LAB, POE, "--argument", "-k nothing_like_this")
    assert (run.returncode, "no test ran" in run.stdout) == (2, True)
    refused = tp_mcp(environment, "run", LAB, "Tests_CLI; reboot")
    assert refused.returncode == 2
    assert "shell syntax" in refused.stderr
    unknown = tp_mcp(environment, "report", "99999")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "99999 not found" in unknown.stderr
    assert tp_mcp(environment, "wait", "w_00000000").returncode == 2
    assert "neither a watch's id nor an execution's" in tp_mcp(environment, "wait", "x").stderr
    away = {**environment, "TP_MCP_BASE_URL": "http://127.0.0.1:1"}
    for command in (("wait", "446"), ("report", "446"), ("run", LAB, POE)):
        ended = tp_mcp(away, *command)
        assert (ended.returncode, "could be made; nothing was sent" in ended.stderr) == (2, True)
    assert "give either --build or --ga" in tp_mcp(environment, "upgrade", LAB).stderr


def test_an_interrupt_detaches_and_another_process_goes_on_waiting(environment: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tp_mcp", "run", LAB, "Tests_CLI", "Tests_GUI"]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        started = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        said = process.stdout.read()
        assert process.wait(PATIENCE_SECONDS) == 2
    watch_id = started[1:11]
    assert f"Do not start it again: tp-mcp wait {watch_id} waits for its end" in said
    short = tp_mcp(environment, "wait", watch_id, "--max-wait", "0")
    assert short.returncode == 2
    # Somebody else, who has no watch of it, can wait for it too.
    stranger = {**environment, "TP_MCP_STATE_DIR": str(tmp_path / "other")}
    assert tp_mcp(stranger, "wait", exec_id_in(started)).returncode == 1
    ended = tp_mcp(environment, "wait", watch_id)
    assert (ended.returncode, "is done: failed (" in ended.stdout) == (1, True)


def test_on_a_terminal_there_is_a_bar_and_a_question(environment: dict[str, str]) -> None:
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "tp_mcp", "upgrade", LAB, "--ga", "7.6.5"]
    with subprocess.Popen(
        command, env={**environment, "TERM": "xterm"}, stdin=slave, stdout=slave, stderr=slave
    ) as process:
        os.close(slave)
        seen = _read_until(master, b"Do it now?")
        assert b"this is the plan" in seen
        os.write(master, b"y\n")
        seen = _read_until(master, None)
        assert process.wait(PATIENCE_SECONDS) == 0, seen.decode()
    os.close(master)
    assert "━".encode() in seen
    assert b"is done" in seen


def _read_until(master: int, wanted: bytes | None) -> bytes:
    """Return what a terminal shows up to something, or to its end."""
    seen = b""
    until = time.monotonic() + PATIENCE_SECONDS
    while wanted is None or wanted not in seen:
        assert time.monotonic() < until, seen.decode()
        if not select.select([master], [], [], 1)[0]:
            continue
        try:
            piece = os.read(master, 65_536)
        except OSError:
            # Nobody holds its other end any more.
            piece = b""
        if not piece:
            break
        seen += piece
    return seen
