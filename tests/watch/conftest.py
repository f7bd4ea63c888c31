"""A world for watches: a clock and a timer that a test moves, a TP that answers what it is told, and the real store."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import JsonValue

from tests.support.clock import NOW, FakeClock, FakeTimer
from tests.support.patience import PATIENCE_SECONDS
from tp_mcp.connectors.manifest import Match
from tp_mcp.errors import StoreError, TpNotJsonError
from tp_mcp.jobs.match_rule import MATCH_RULE, MatchRule
from tp_mcp.storage.opening import open_storage
from tp_mcp.storage.watches import WatchStore
from tp_mcp.watch.delivery.change_feed import ChangeFeed
from tp_mcp.watch.delivery.inbox import Inbox
from tp_mcp.watch.model.reading import Interpretation, Outcome, Reading, Settlement, Verdict
from tp_mcp.watch.model.spec import WatchSpec
from tp_mcp.watch.model.watch import Origin, Owner, Watch, WatchState, new_watch_id
from tp_mcp.watch.polling.interpretation import Interpreter
from tp_mcp.watch.polling.lease_holder import Leases
from tp_mcp.watch.polling.poller import Poller
from tp_mcp.watch.registry import Intent, WatchRegistry

SERVER = "http://tp.example:8000"
ALICE = Owner("local:alice", "thread:1", exact=True)
IDLE_TURNS = 25
"""Turns of the loop without work for the store after which nothing more is to be expected."""


@dataclass
class FakeReader:
    """Answers each job as laid out, the last answer again and again, and remembers who was asked when."""

    clock: FakeClock
    answers: dict[str, list[Any]] = field(default_factory=dict)
    reads: list[tuple[float, str]] = field(default_factory=list)
    hold: asyncio.Event | None = None

    def on(self, job: str, *answers: Any) -> None:
        self.answers[job] = list(answers)

    def asked(self, job: str) -> list[float]:
        return [at for at, name in self.reads if name == job]

    async def read(self, tool: str, args: Mapping[str, JsonValue], _identity: str = "") -> JsonValue:
        job = str(args.get("job", tool))
        self.reads.append((self.clock.time, job))
        if self.hold is not None:
            await self.hold.wait()
        laid_out = self.answers.get(job, [{"status": "running"}])
        answer = laid_out.pop(0) if len(laid_out) > 1 else laid_out[0]
        if isinstance(answer, Exception):
            raise answer
        told: JsonValue = answer
        return told


class StepRule:
    """Takes each answer for the reading that it spells, and remembers what it says."""

    def interpret(self, _watch: Watch, answer: JsonValue) -> Interpretation:
        if not isinstance(answer, dict) or "status" not in answer:
            raise TpNotJsonError("TP's answer has no status.")
        if answer["status"] == "broken rule":
            raise KeyError("a fault in the rule")
        verdicts = {"done": Verdict.DONE, "failed": Verdict.FAILED, "stale": Verdict.STALE, "foreign": Verdict.FOREIGN}
        verdict = verdicts.get(str(answer["status"]), Verdict.UNDERWAY)
        reading = Reading(
            verdict=verdict,
            phase=str(answer["status"]),
            outcome=Outcome.PASSED if verdict is Verdict.DONE else None,
            sign_of_life=str(answer.get("alive", "")),
            detail="it belongs to another lab" if verdict is Verdict.FOREIGN else "",
        )
        return Interpretation(reading, answer.get("memory"))

    def settling_read(self, watch: Watch, /) -> tuple[str, Mapping[str, JsonValue]]:
        return "list", {"job": f"list:{watch.job}"}

    def settle(self, watch: Watch, answer: JsonValue, *, taken: Collection[str]) -> Settlement:
        if watch.job in taken:
            return Settlement(started=False, evidence="it is another's.")
        if not isinstance(answer, dict):
            raise TpNotJsonError("TP's answer has no list.")
        if answer.get("started"):
            return Settlement(started=True, answer={"id": 7}, spec_args={"job": "7"}, job="job:7", evidence="7 is new.")
        if answer.get("same"):
            return Settlement(started=True, evidence="it moved.")
        return Settlement(started=False, evidence="nothing new.")


class SpyStore:
    """The real store; counts what is under way, and fails or waits where a test says so."""

    def __init__(self, store: WatchStore) -> None:
        self.real = store
        self.under_way = 0
        self.calls: list[str] = []
        self.failures: dict[str, list[Exception]] = {}
        self.holds: dict[str, asyncio.Event] = {}

    def fail(self, method: str, *failures: Exception) -> None:
        self.failures[method] = list(failures)

    def fail_always(self, method: str) -> None:
        self.failures[method] = [StoreError("The disk is gone.") for _ in range(1000)]

    def hold(self, method: str) -> asyncio.Event:
        """Let the next call of a method wait before it does anything."""
        self.holds[method] = asyncio.Event()
        return self.holds[method]

    def __getattr__(self, method: str) -> Any:
        real = getattr(self.real, method)

        async def spied(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(method)
            hold = self.holds.pop(method, None)
            if hold is not None:
                await hold.wait()
            if self.failures.get(method):
                raise self.failures[method].pop(0)
            self.under_way += 1
            try:
                return await real(*args, **kwargs)
            finally:
                self.under_way -= 1

        return spied


@dataclass
class World:
    """One process of the server, as far as watches go."""

    clock: FakeClock
    timer: FakeTimer
    reader: FakeReader
    store: SpyStore
    poller: Poller
    feed: ChangeFeed
    registry: WatchRegistry
    inbox: Inbox
    tasks: Any
    changed: list[Watch] = field(default_factory=list)

    async def settle(self) -> None:
        """Return once nothing goes on but what waits for the clock or for a test."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            idle = 0
            while idle < IDLE_TURNS:
                await asyncio.sleep(0)
                idle = 0 if self.store.under_way else idle + 1

    async def advance(self, seconds: float) -> None:
        """Let time pass; the timer and those who sleep are called at their times."""
        await self.settle()
        end = self.clock.time + seconds
        while (due := min([at for at, _ in self.clock.sleepers] + [self.timer.at or end + 1])) <= end:
            self.clock.move_to(max(due, self.clock.time))
            if self.timer.at is not None and self.timer.at <= self.clock.time and self.timer.callback:
                self.timer.at = None
                await self.timer.callback()
            await self.settle()
        self.clock.move_to(end)
        await self.settle()

    async def add(self, watch: Watch, *, resumed: bool = False) -> Watch:
        """Write a watch and poll it."""
        await self.store.real.add(watch)
        self.poller.add(watch, resumed=resumed)
        return watch

    async def stored(self, watch: Watch) -> Watch:
        stored = await self.store.real.get(watch.id)
        assert stored is not None
        return stored

    async def unseen(self, owner: Owner = ALICE) -> list[str]:
        return [entry.watch_id for entry in await self.store.real.unseen(owner)]


async def advance(seconds: float, *worlds: Any) -> None:
    """Let time pass in every process alike, in steps no longer than a heartbeat."""
    clock = worlds[0].clock
    end = clock.time + seconds
    while clock.time < end:
        due = [at for world in worlds for at in (world.timer.at,) if at is not None]
        due += [at for at, _ in clock.sleepers]
        clock.move_to(max(clock.time, min([*due, end])))
        for world in worlds:
            await world.advance(0)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def alice() -> Owner:
    return ALICE


@pytest.fixture
def step_rule() -> StepRule:
    return StepRule()


@pytest.fixture
def make_spec() -> Callable[..., WatchSpec]:
    def make(job: str = "1", **changes: Any) -> WatchSpec:
        spec = WatchSpec(
            tool="get", args={"job": job}, rule="step", interval_seconds=15.0, timeout_seconds=3600.0, max_polls=None
        )
        return replace(spec, **changes)

    return make


@pytest.fixture
def make_watch(make_spec: Callable[..., WatchSpec]) -> Callable[..., Watch]:
    def make(job: str = "1", *, spec: Mapping[str, Any] | None = None, **changes: Any) -> Watch:
        watch = Watch(
            id=new_watch_id(),
            owner=ALICE,
            server=SERVER,
            origin=Origin("run", {"lab": "AT16", "testcase": ["Tests_CLI"]}),
            title="run of Tests_CLI on AT16",
            job=f"job:{job}",
            spec=make_spec(job, **(spec or {})),
            state=WatchState.ACTIVE,
            created_at=NOW,
            started_at=NOW,
            lively_at=NOW,
        )
        if changes.get("state") is WatchState.STARTING:
            watch = replace(watch, started_at=None, lively_at=None)
        return replace(watch, **changes)

    return make


@pytest.fixture
def match_spec(make_spec: Callable[..., WatchSpec]) -> Callable[..., WatchSpec]:
    def make(**matches: Any) -> WatchSpec:
        told = {name: Match.model_validate(match) for name, match in matches.items()}
        return make_spec(rule=MATCH_RULE, **told)

    return make


@pytest.fixture
def make_intent(make_spec: Callable[..., WatchSpec]) -> Callable[..., Intent]:
    def make(job: str = "1", **changes: Any) -> Intent:
        intent = Intent(
            owner=ALICE,
            origin=Origin("run", {"lab": "AT16"}),
            title="run on AT16",
            job="run:AT16",
            spec=make_spec(job),
        )
        return replace(intent, **changes)

    return make


@pytest.fixture
def open_world(tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[World]]:
    """Open a world; two of them over one directory and clock are two processes that share the store."""

    @asynccontextmanager
    async def opened(
        clock: FakeClock | None = None, *, started: bool = True, shared: bool = False, **options: Any
    ) -> AsyncIterator[World]:
        clock = clock or FakeClock()
        store = SpyStore((await open_storage(tmp_path / "state")).watches)
        timer, reader, step = FakeTimer(), FakeReader(clock), StepRule()
        try:
            async with anyio.create_task_group() as tasks:
                changed: list[Watch] = []
                feed = ChangeFeed(store=store, clock=clock, task_group=tasks)

                def on_change(watch: Watch) -> None:
                    changed.append(watch)
                    feed.publish(watch)

                leases = Leases(store=store, clock=clock, server=SERVER) if shared else None
                poller = Poller(
                    store=store,
                    feed=feed,
                    interpreter=Interpreter(reader, {"step": step, MATCH_RULE: MatchRule()}, {"step": step}),
                    clock=clock,
                    timer=timer,
                    task_group=tasks,
                    on_change=on_change,
                    rng=random.Random(1),
                    leases=leases,
                    **options,
                )
                registry = WatchRegistry(
                    store=store,
                    poller=poller,
                    feed=feed,
                    clock=clock,
                    server=SERVER,
                    task_group=tasks,
                )
                world = World(
                    clock=clock,
                    timer=timer,
                    reader=reader,
                    store=store,
                    poller=poller,
                    feed=feed,
                    registry=registry,
                    inbox=Inbox(store=store, clock=clock),
                    tasks=tasks,
                    changed=changed,
                )
                if started:
                    poller.start()
                yield world
                poller.stop()
                tasks.cancel_scope.cancel()
        finally:
            await store.real.close()

    return opened
