"""What ended is kept in the background, and nothing that goes wrong with it reaches an end."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from tests.support.patience import PATIENCE_SECONDS
from tests.triage.rows import failing, row
from tp_mcp.api.models import Execution
from tp_mcp.clock import SystemClock
from tp_mcp.errors import ReportError, StoreError, TpNotFoundError, TpUnreachableError
from tp_mcp.history import recorder as recorders
from tp_mcp.history.analysis import Analysis, EndedExecutions, RunTests
from tp_mcp.history.recorder import ATTEMPTS_MAX, Recorder
from tp_mcp.history.records import Run
from tp_mcp.storage.history import HistoryTable
from tp_mcp.storage.opening import open_storage
from tp_mcp.storage.watches import WatchStore
from tp_mcp.triage.clusters import clusters_of
from tp_mcp.triage.recurrence import outcomes_by_test
from tp_mcp.triage.report_parser import ReportedTest
from tp_mcp.triage.verdict import Triage
from tp_mcp.watch.model.reading import Outcome, Verdict
from tp_mcp.watch.model.reading import Reading as Look
from tp_mcp.watch.model.spec import WatchSpec
from tp_mcp.watch.model.watch import InboxEntry, Origin, Owner, Watch, WatchState

TP = "http://tp.example:8000"
ALICE = Owner("local:alice", "environment:one", exact=True)
FAILED = [failing("t.py::a", "CliError: device lost for good"), row("t.py::b", outcome="passed")]
PASSED = [row("t.py::a", outcome="passed"), row("t.py::b", outcome="passed")]


@dataclass
class Reading:
    """Reads what a test says, and keeps it as the real one does."""

    history: HistoryTable
    tests: list[ReportedTest] = field(default_factory=lambda: FAILED)
    error: Exception | None = None
    gate: asyncio.Event | None = None
    read_ids: list[int] = field(default_factory=list)
    server: str = TP

    async def read(self, exec_id: int, *, principal: str, **_: Any) -> Analysis:
        self.read_ids.append(exec_id)
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        run = Run(TP, exec_id, "AT16", "6957", float(exec_id), outcomes_by_test(self.tests))
        await self.history.add(run, principal)
        earlier = await self.history.earlier(TP, "AT16", before=exec_id, principal=principal, limit=9)
        triage = Triage(exec_id, "6957", run.outcomes, clusters_of(self.tests), earlier)
        return Analysis(Execution(), run, RunTests(tuple(self.tests)), triage, {}, 0.0)


@dataclass
class Desk:
    recorder: Recorder
    reading: Reading
    store: WatchStore
    history: HistoryTable

    async def ended(self, exec_id: int = 446, **changes: Any) -> Watch:
        """Write a watch that ended, with its entry, and let the recorder notice it."""
        now = SystemClock().now()
        watch = Watch(
            id=f"w_{exec_id}",
            owner=ALICE,
            server=TP,
            origin=Origin("run_pytest", {}),
            title="run",
            job=f"execution:{exec_id}",
            kind="execution",
            spec=WatchSpec("get_execution", {"exec_id": exec_id}, "execution", 30, 900),
            state=WatchState.DONE,
            created_at=now - 9,
            started_at=now - 8,
            ended_at=now,
            outcome=Outcome.FAILED,
            last_answer={"exec_id": exec_id, "status": "Done"},
            reading=Look(Verdict.DONE, "Done", report_url=f"{TP}/data/report.html"),
        )
        watch = replace(watch, **changes)
        await self.store.add(watch, InboxEntry(watch.id, ALICE, "it ended", watch.job, now))
        self.recorder.notice(watch)
        return watch

    async def idle(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.recorder._under_way:
                await asyncio.sleep(0.005)

    async def brief(self, watch: Watch) -> str:
        await self.idle()
        stored = await self.store.get(watch.id)
        assert stored is not None
        return stored.brief


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    storage = await open_storage(tmp_path)
    store, history = storage.watches, storage.history
    reading = Reading(history)
    opened: asyncio.Future[Desk] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def host() -> None:
        async with anyio.create_task_group() as tasks:
            executions = cast(EndedExecutions, reading)
            recorder = Recorder(executions=executions, store=store, clock=SystemClock(), task_group=tasks)
            opened.set_result(Desk(recorder, reading, store, history))
            await over.wait()
            tasks.cancel_scope.cancel()

    task = asyncio.create_task(host())
    yield await opened
    over.set()
    await task
    await storage.close()


async def test_an_end_gets_its_brief_afterwards_and_so_does_its_entry(desk: Desk) -> None:
    watch = await desk.ended()
    told = "Triage: 1 failed test, 1 reason: 1 x CliError: device lost for good (unknown)."
    assert await desk.brief(watch) == told
    [entry] = await desk.store.unseen(ALICE)
    assert told in entry.text
    assert await desk.history.known(TP, [446], ALICE.principal) == {446}


async def test_a_passed_run_is_kept_and_has_no_brief(desk: Desk) -> None:
    desk.reading.tests = PASSED
    assert await desk.brief(await desk.ended(outcome=Outcome.PASSED)) == ""
    assert await desk.history.known(TP, [446], ALICE.principal) == {446}


async def test_a_rerun_says_what_changed_first(desk: Desk) -> None:
    await desk.brief(await desk.ended(446))
    desk.reading.tests = PASSED
    await desk.history.add_rerun(TP, "w_447", 446, now=1.0)
    told = await desk.brief(await desk.ended(447, outcome=Outcome.PASSED))
    assert told == "Against execution 446: of 1 test that failed there, 1 pass now (t.py::a)."


async def test_who_tells_an_end_waits_for_the_brief_for_a_moment(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.reading.gate = asyncio.Event()
    watch = await desk.ended()
    monkeypatch.setattr(recorders, "BRIEF_WAIT_SECONDS", 0.05)
    assert [told.brief for told in await desk.recorder.briefed([watch])] == [""]
    monkeypatch.setattr(recorders, "BRIEF_WAIT_SECONDS", 10.0)
    asyncio.get_running_loop().call_later(0.05, desk.reading.gate.set)
    [told] = await desk.recorder.briefed([watch])
    assert told.brief
    await desk.idle()
    assert await desk.recorder.briefed([watch]) == (watch,)


async def test_an_end_is_told_without_its_brief_where_the_store_is_away(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.reading.gate = asyncio.Event()
    watch = await desk.ended()

    async def broken(_: object) -> None:
        raise StoreError("away")

    monkeypatch.setattr(desk.store, "get_many", broken)
    desk.reading.gate.set()
    assert await desk.recorder.briefed([watch]) == (watch,)


@pytest.mark.parametrize(
    "changes",
    [
        {"state": WatchState.LOST},
        {"state": WatchState.ACTIVE, "ended_at": None},
        {"outcome": Outcome.LISTING},
        {"outcome": Outcome.NO_TEST_RAN},
        {"server": "http://other"},
        {"spec": WatchSpec("get_execution", {}, "execution", 30, 900)},
        {"reading": None},
        {"reading": Look(Verdict.DONE, "Done")},
        {"spec": WatchSpec("list_labs", {}, "match", 30, 900)},
    ],
)
async def test_what_tells_nothing_of_tests_is_not_read(desk: Desk, changes: dict[str, Any]) -> None:
    await desk.ended(**changes)
    await desk.recorder.look()
    await desk.idle()
    assert desk.reading.read_ids == []


@pytest.mark.parametrize(
    ("error", "times"),
    [
        (TpUnreachableError("away"), ATTEMPTS_MAX),
        (ValueError("a fault of ours"), ATTEMPTS_MAX),
        (ReportError("cut"), 1),
        (TpNotFoundError("gone"), 1),
    ],
)
async def test_what_cannot_be_read_is_tried_again_at_later_looks_where_that_may_help(
    desk: Desk, error: Exception, times: int
) -> None:
    desk.reading.error = error
    watch = await desk.ended()
    for _ in range(ATTEMPTS_MAX + 2):
        await desk.idle()
        await desk.recorder.look()
    await desk.idle()
    assert len(desk.reading.read_ids) == times
    assert await desk.brief(watch) == ""


async def test_a_read_that_hangs_ends_in_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorders, "READ_SECONDS", 0.02)
    desk.reading.gate = asyncio.Event()
    assert await desk.brief(await desk.ended()) == ""


async def test_what_another_process_left_unread_is_read_at_a_look_and_only_that(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for exec_id in (446, 447):
        monkeypatch.setattr(desk.recorder, "notice", lambda _: None)
        await desk.ended(exec_id)
    monkeypatch.undo()
    await desk.reading.read(446, principal=ALICE.principal)
    desk.reading.read_ids.clear()
    looking = asyncio.create_task(desk.recorder.keep_looking())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not desk.reading.read_ids:
            await asyncio.sleep(0.005)
    looking.cancel()
    await desk.idle()
    assert desk.reading.read_ids == [447]


async def test_a_store_that_cannot_be_read_ends_no_look(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise StoreError("away")

    monkeypatch.setattr(desk.store, "ended_since", broken)
    await desk.recorder.look()


async def test_no_more_than_so_many_wait_and_few_are_read_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorders, "WAITING_MAX", 3)
    desk.reading.gate = asyncio.Event()
    for exec_id in range(446, 451):
        await desk.ended(exec_id)
    await asyncio.sleep(0.02)
    assert len(desk.reading.read_ids) == recorders.AT_ONCE
    desk.reading.gate.set()
    await desk.idle()
    assert len(desk.reading.read_ids) == 3
    await desk.recorder.look()
    await desk.idle()
    assert sorted(desk.reading.read_ids) == list(range(446, 451))


async def test_failures_are_forgotten_where_there_are_too_many(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorders, "WAITING_MAX", 1)
    desk.reading.error = ReportError("cut")
    for exec_id in (446, 447, 448):
        await desk.ended(exec_id)
        await desk.idle()
    assert list(desk.recorder._attempts) == ["w_448"]


async def test_what_somebody_looked_at_is_read_once(desk: Desk) -> None:
    for _ in range(3):
        desk.recorder.saw(446, ALICE.principal)
        await desk.idle()
    assert desk.reading.read_ids == [446]


async def test_an_upgrade_that_ended_is_kept_with_its_build(desk: Desk) -> None:
    device = {
        "ip": "10.1.1.1",
        "status": "SUCCESS",
        "updated_at": "2026-05-28T18:14:19+00:00",
        "last_build_number": "6957",
    }
    spec = WatchSpec("get_upgrade", {}, "upgrade", 15, 900)
    upgrade = {"spec": spec, "job": "upgrade:AT16", "kind": "upgrade", "testbed": "AT16", "outcome": None}
    answer = {"status": "SUCCESS", "per_device": [device]}
    await desk.ended(1, **upgrade, last_answer=answer)
    await desk.ended(
        2,
        spec=spec,
        job="upgrade:AT16",
        kind="upgrade",
        testbed="AT16",
        outcome=None,
        last_answer={"status": "SUCCESS"},
    )
    await desk.idle()
    assert await desk.history.build_at(TP, "AT16", 2e9) == "6957"


async def test_a_brief_goes_to_an_ended_watch_alone(desk: Desk) -> None:
    going_on = await desk.ended(state=WatchState.ACTIVE, ended_at=None)
    assert await desk.store.amend(going_on.id, "x") is None
    assert await desk.store.amend("w_none", "x") is None
