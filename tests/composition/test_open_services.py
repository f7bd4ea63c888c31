"""The embedded TP dies with its process: what it was doing is lost, and the conversation is told."""

import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from tp_mcp.clock import SystemClock
from tp_mcp.composition.open_services import embedded_url, is_embedded_tp_of_ended_process, open_configured
from tp_mcp.composition.serve_options import ServeOptions
from tp_mcp.errors import StoreBusyError
from tp_mcp.storage.opening import open_storage
from tp_mcp.storage.watches import WatchStore
from tp_mcp.watch.model.spec import WatchSpec
from tp_mcp.watch.model.watch import Origin, Owner, Watch, WatchState, new_watch_id

OWN = embedded_url(os.getpid(), "0a")
OWNER = Owner("local:alice", "chat", exact=True)


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    ("server", "is_gone"),
    [
        (OWN, False),
        (embedded_url(os.getppid(), "ab"), False),
        (embedded_url(1, "ab"), False),
        ("http://tp-test:8000", False),
        ("http://simulator-x.invalid", False),
        (embedded_url(os.getpid(), "ab"), True),
    ],
    ids=["this one", "of the parent", "of the first process", "a real TP", "no number", "had this process id before"],
)
def test_a_tp_is_gone_only_where_it_was_embedded_in_a_process_that_is_no_more(server: str, is_gone: bool) -> None:
    assert is_embedded_tp_of_ended_process(server, OWN) is is_gone


def test_an_embedded_tp_is_gone_once_its_process_has_ended() -> None:
    assert is_embedded_tp_of_ended_process(embedded_url(ended_process(), "ab"), OWN)


async def test_the_watches_of_an_embedded_tp_that_died_are_told_as_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TP_MCP_STATE_DIR", str(tmp_path))
    watch = Watch(
        id=new_watch_id(),
        owner=OWNER,
        server=embedded_url(ended_process(), "ab"),
        origin=Origin("run_pytest", {"lab": "AT16_Combined_FSW"}),
        title="run of Tests_CLI on AT16_Combined_FSW",
        job="execution:446",
        spec=WatchSpec(
            tool="get_execution", args={"exec_id": 446}, rule="execution", interval_seconds=15, timeout_seconds=3600
        ),
        state=WatchState.ACTIVE,
        created_at=SystemClock().now(),
    )
    store = (await open_storage(tmp_path / "simulator")).watches
    await store.add(watch)
    await store.close()
    async with open_configured(ServeOptions(simulator=True), SystemClock()) as services:
        lost = await services.watches.registry.get(watch.id, OWNER)
        (entry,) = await services.watches.inbox.to_show(await services.watches.inbox.begin(OWNER))
    assert lost.state is WatchState.LOST
    assert "embedded TP ended" in entry.text


async def test_the_embedded_tp_answers_the_services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TP_MCP_STATE_DIR", str(tmp_path))
    async with open_configured(ServeOptions(simulator=True, speed=100), SystemClock()) as services:
        assert "AT16_Combined_FSW" in {lab.name for lab in await services.tp.catalogue.labs()}


async def test_the_log_shows_no_secret_that_was_learnt_after_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TP_MCP_STATE_DIR", str(tmp_path))
    handler = logging.StreamHandler(io.StringIO())
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    async with open_configured(ServeOptions(simulator=True, speed=100), SystemClock()) as services:
        services.tp.client.secrets.learn(SecretStr("learnt-later"))
        logging.getLogger("tp_mcp").warning("It is \x1b[1mlearnt-later.")
    assert "It is [redacted].\n" in handler.stream.getvalue()


async def test_a_store_that_cannot_be_read_is_said_as_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreadable(_store: WatchStore, _server: str | None) -> tuple[Watch, ...]:
        raise StoreBusyError("The store is held by another process.")

    monkeypatch.setenv("TP_MCP_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(WatchStore, "unended", unreadable)
    with pytest.raises(StoreBusyError, match="held by another process"):
        async with open_configured(ServeOptions(simulator=True), SystemClock()):
            pass
