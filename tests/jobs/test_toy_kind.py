"""A kind of job that is written here alone: it is started, confirmed, watched, reported and listed like the others.

A drain marks a lab as taken, and ends once none of the user's executions goes on there.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import JsonValue

from tests.support.process import ALICE, LAB, hosted
from tests.support.world import World, collected_tree, open_world
from tp_mcp.access.policy import Action
from tp_mcp.api.client import TpClient
from tp_mcp.api.lenient import each_valid, rows_of
from tp_mcp.api.models import ExecutionSummary
from tp_mcp.api.requests import LockAction
from tp_mcp.connectors.manifest import Manifest
from tp_mcp.errors import ConfirmationError
from tp_mcp.jobs.kind import JobKind
from tp_mcp.jobs.kinds import KINDS
from tp_mcp.results.document import Document
from tp_mcp.results.fence import new_marker
from tp_mcp.results.fit import render
from tp_mcp.tools.framework.arguments import ToolArguments
from tp_mcp.tools.framework.definition import Call, ToolDefinition
from tp_mcp.tools.starts.confirmation import NeedsConfirmation, Planned
from tp_mcp.tools.starts.start_documents import start_document
from tp_mcp.tools.starts.start_job import AlreadyStarted, Started, StartOutcome, start_job
from tp_mcp.watch.model.reading import Interpretation, Reading, Settlement, Verdict
from tp_mcp.watch.model.spec import WatchSpec
from tp_mcp.watch.model.watch import Watch, WatchState
from tp_mcp.watch.registry import Accepted

POLL_TOOL = "list_executions"


class DrainRule:
    """A drain is done when no execution goes on at its lab."""

    def interpret(self, watch: Watch, answer: JsonValue) -> Interpretation:
        rows = each_valid(ExecutionSummary, rows_of(answer) or [])
        running = [row for row in rows if row.lab == watch.origin.arguments["lab"] and row.in_flight]
        verdict = Verdict.UNDERWAY if running else Verdict.DONE
        return Interpretation(Reading(verdict, phase="", detail=f"{len(running)} executions go on"), memory=None)

    def settling_read(self, _watch: Watch) -> tuple[str, Mapping[str, JsonValue]]:
        return POLL_TOOL, {}

    def settle(self, _watch: Watch, _answer: JsonValue, *, taken: Collection[str]) -> Settlement:
        return Settlement(started=False, evidence=f"TP does not show who marked a lab, nor {len(taken)} others.")


@dataclass(frozen=True)
class Drain:
    lab: str


class Drains(JobKind[Drain]):
    """Drains of labs."""

    name = "drain"
    tool = "drain_lab"
    testbed_argument = "lab"
    action = Action.LOCK
    rule = DrainRule()
    start_notes = ("A drain ends no execution.",)
    usual = "A drain takes as long as what it waits for."

    def testbed(self, request: Drain) -> str:
        return request.lab

    def title(self, request: Drain) -> str:
        return f"drain of {request.lab}"

    def job(self, request: Drain) -> str:
        return f"drain of {request.lab}"

    def arguments(self, request: Drain) -> dict[str, JsonValue]:
        return {"lab": request.lab}

    async def send(self, request: Drain, client: TpClient) -> JsonValue:
        return await client.lock_lab(request.lab, LockAction.LOCK)

    def spec(self, _manifest: Manifest, duration_groups: tuple[str, ...] = ()) -> WatchSpec:
        return WatchSpec(POLL_TOOL, {}, self.name, 30, 3600, history=duration_groups, on_done="{args.lab} is empty.")

    def accepted(self, _request: Drain, answer: JsonValue, _manifest: Manifest) -> Accepted:
        return Accepted(answer)

    def look_call(self, watch: Watch) -> str:
        return f"list_labs(name={watch.testbed})"

    def next_step(self, watch: Watch) -> str:
        return f"{watch.testbed} can be upgraded now."

    def after_cancelled_watch(self, watch: Watch) -> str:
        return f"unlock_lab would free {watch.testbed}."


DRAINS = Drains()


class DrainArguments(ToolArguments):
    lab: str
    dry_run: bool = False
    confirm: str | None = None


async def start_drain(arguments: DrainArguments, call: Call) -> StartOutcome:
    return await start_job(DRAINS, Drain(arguments.lab), call, dry_run=arguments.dry_run, confirm=arguments.confirm)


async def drain_lab(arguments: DrainArguments, call: Call) -> Document:
    return await start_document(await start_drain(arguments, call), call)


TOOL = ToolDefinition(
    name=DRAINS.tool,
    title="Drain a lab",
    description="Mark a lab as taken, and watch until nothing runs there.",
    arguments=DrainArguments,
    run=drain_lab,
    read_only=False,
    destructive=True,
)


@pytest.fixture(scope="module")
def tree() -> JsonValue:
    return collected_tree()


@pytest.fixture(params=["nothing"])
async def world(
    request: pytest.FixtureRequest, tmp_path: Path, tree: JsonValue, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    monkeypatch.setitem(KINDS, DRAINS.name, DRAINS)
    async with hosted(open_world(tmp_path, tree=tree, confirm=request.param)) as opened:
        yield opened


needs_confirmation = pytest.mark.parametrize("world", ["everything"], indirect=True)


async def call_of(world: World) -> Call:
    async def report(*_watches: Watch) -> None:
        """Report to nobody."""

    return Call(ALICE, await world.services.watches.inbox.begin(ALICE), world.services, report)


async def drain(world: World, **arguments: JsonValue) -> str:
    return render(await TOOL.call({"lab": LAB, **arguments}, await call_of(world)), marker=new_marker())


def running(world: World) -> int:
    body = {"user": "demo", "lab": LAB, "testcase": ["Tests_CLI"], "argument": ""}
    return world.simulator.start_execution("demo", body).exec_id


async def test_it_is_started_and_watched_to_its_end_which_is_reported(world: World) -> None:
    exec_id = running(world)
    text = await drain(world)
    watch_id = text[1:11]
    assert text.startswith(f"[{watch_id}] drain of {LAB} is under way.")
    assert "A drain ends no execution." in text
    assert world.written == ["lock_lab"]
    await world.advance(90)
    interim = await world.call("wait_for_watch", watch_id=watch_id, max_wait_seconds=0)
    assert "1 executions go on" in interim
    assert "A drain takes as long as what it waits for." in interim
    await world.simulator.workers.cancel(exec_id)
    await world.advance(31)
    watch = await world.services.watches.registry.get(watch_id, ALICE)
    assert (watch.state, watch.kind, watch.testbed) == (WatchState.DONE, "drain", LAB)
    [entry] = await world.services.watches.inbox.to_show(await world.services.watches.inbox.begin(ALICE))
    assert entry.text.startswith(f"[{watch_id}] drain of {LAB} is done, after ")
    assert entry.text.endswith(f"{LAB} is empty.")
    ended = await world.call("wait_for_watch", watch_id=watch_id)
    assert ended.endswith(f"{LAB} can be upgraded now.")
    assert world.written == ["lock_lab"]


async def test_it_is_listed_with_the_call_that_shows_it(world: World) -> None:
    watch_id = (await drain(world))[1:11]
    assert f"[{watch_id}] drain of {LAB} is under way (" in await world.call("list_watches")
    await world.advance(31)
    listed = await world.call("list_watches")
    assert f"[{watch_id}] drain of {LAB} is done (" in listed
    assert f": list_labs(name={LAB})" in listed


async def test_other_starts_on_the_testbed_name_it(world: World) -> None:
    running(world)
    watch_id = (await drain(world))[1:11]
    upgrade = await world.call("start_upgrade", testbed=LAB, mode="build", build_number="6957", dry_run=True)
    assert f"Also watched there: Mind that {watch_id} goes on there too: drain of {LAB}." in upgrade


async def test_the_same_call_again_sends_nothing(world: World) -> None:
    running(world)
    first = await start_drain(DrainArguments(lab=LAB), await call_of(world))
    again = await start_drain(DrainArguments(lab=LAB), await call_of(world))
    assert isinstance(first, Started)
    assert isinstance(again, AlreadyStarted)
    assert again.watch.id == first.watch.id
    assert world.written == ["lock_lab"]


async def test_cancelling_its_watch_says_how_to_end_the_job(world: World) -> None:
    running(world)
    text = await world.call("cancel_watch", watch_id=(await drain(world))[1:11])
    assert text.endswith(f"unlock_lab would free {LAB}.")


@needs_confirmation
async def test_it_is_confirmed_where_the_policy_says_so(world: World) -> None:
    outcome = await start_drain(DrainArguments(lab=LAB), await call_of(world))
    assert isinstance(outcome, NeedsConfirmation)
    assert outcome.plan.lines()[0] == f"Drain of {LAB}."
    with pytest.raises(ConfirmationError):
        await drain(world, confirm="c_000000000000")
    assert world.written == []
    assert "is under way" in await drain(world, confirm=outcome.code)
    assert world.written == ["lock_lab"]


@needs_confirmation
async def test_a_dry_run_returns_the_plan_alone(world: World) -> None:
    outcome = await start_drain(DrainArguments(lab=LAB, dry_run=True), await call_of(world))
    assert isinstance(outcome, Planned)
    assert outcome.plan.testbed == LAB
    assert world.written == []
