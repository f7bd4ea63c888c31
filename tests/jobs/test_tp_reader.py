from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from pydantic import JsonValue

from tp_mcp.clock import SystemClock
from tp_mcp.jobs import tp_reader
from tp_mcp.jobs.tp_reader import KeepingReader, execution_of, log_handle
from tp_mcp.results.kept_logs import KeptLogs, Tail
from tp_mcp.storage.blobs import LOGS_LIMITS, BlobDirectory

ANSWER: JsonValue = {"exec_id": 446, "status": "Done", "log_tail": "one\ntwo\n", "log_size": 8}


class Answering:
    def __init__(self, answer: JsonValue) -> None:
        self._answer = answer

    async def read(self, _tool: str, _args: Mapping[str, JsonValue], _identity: str = "") -> JsonValue:
        return self._answer


@pytest.fixture
def logs(tmp_path: Path) -> KeptLogs:
    return KeptLogs(BlobDirectory(tmp_path, SystemClock(), LOGS_LIMITS), "http://tp.example", str)


async def read(logs: KeptLogs, answer: Any, tool: str = "get_execution") -> str | None:
    async with anyio.create_task_group() as tasks:
        assert await KeepingReader(Answering(answer), logs, tasks).read(tool, {"exec_id": 446}) == answer
    kept = await logs.get(446)
    return None if kept is None else kept.text


async def test_the_log_of_an_execution_that_is_polled_is_kept(logs: KeptLogs) -> None:
    assert await read(logs, ANSWER) == "one\ntwo\n"


async def test_an_answer_with_odd_types_is_understood_too(logs: KeptLogs) -> None:
    assert await read(logs, {"status": "Failed", "log_tail": "one\n", "log_size": "4"}) == "one\n"


@pytest.mark.parametrize("answer", [None, [], "text", {}, {"status": None}, {"log_size": True, "log_tail": []}])
async def test_an_answer_without_a_log_keeps_nothing(logs: KeptLogs, answer: JsonValue) -> None:
    assert await read(logs, answer) is None


async def test_an_answer_to_another_read_keeps_nothing(logs: KeptLogs) -> None:
    assert await read(logs, ANSWER, tool="get_upgrade") is None


async def test_a_fault_over_the_log_leaves_the_poll_alone(
    logs: KeptLogs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(logs, "take_in", broken)
    assert await read(logs, ANSWER) is None
    assert "The log of execution 446 could not be kept" in caplog.text


class Held:
    """Logs whose disk does not answer until it is let go."""

    def __init__(self) -> None:
        self.let_go = anyio.Event()
        self.kept: list[int] = []

    async def take_in(self, exec_id: int, _tail: Tail) -> None:
        await self.let_go.wait()
        self.kept.append(exec_id)


async def test_an_answer_does_not_wait_for_its_log_until_too_many_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tp_reader, "WAITING_MAX", 2)
    held = Held()
    async with anyio.create_task_group() as tasks:
        reader = KeepingReader(Answering(ANSWER), cast("KeptLogs", held), tasks)
        for exec_id in (1, 2):
            assert await reader.read("get_execution", {"exec_id": exec_id}) == ANSWER
        third = anyio.Event()

        async def read_third() -> None:
            await reader.read("get_execution", {"exec_id": 3})
            third.set()

        tasks.start_soon(read_third)
        await anyio.wait_all_tasks_blocked()
        assert not third.is_set()
        held.let_go.set()
    assert third.is_set()
    assert sorted(held.kept) == [1, 2, 3]


async def test_a_log_that_waits_is_kept_when_the_server_closes() -> None:
    held = Held()
    async with anyio.create_task_group() as tasks:
        await KeepingReader(Answering(ANSWER), cast("KeptLogs", held), tasks).read("get_execution", {"exec_id": 446})
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
        held.let_go.set()
    assert held.kept == [446]


def test_a_log_has_a_handle_that_names_its_execution() -> None:
    assert execution_of(log_handle(446)) == 446
    assert execution_of("log-0446") is None
    assert execution_of("r_446") is None
