"""The outcomes of a start, as the tools and the command line get them, and the order of its checks."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from tests.support.process import ALICE, LAB
from tests.support.world import World, open_world
from tp_mcp.errors import ConfirmationError, InvalidArgumentError, PolicyError, TpBusyError
from tp_mcp.tools.framework.definition import Call
from tp_mcp.tools.runs import RunPytestArguments, start_run
from tp_mcp.tools.start_watch import StartWatchArguments, watch_job
from tp_mcp.tools.starts.confirmation import NeedsConfirmation, Planned
from tp_mcp.tools.starts.start_job import AlreadyStarted, Refused, Started, StartOutcome
from tp_mcp.tools.upgrades import StartUpgradeArguments, start_upgrade_job
from tp_mcp.watch.model.watch import Owner, Watch, WatchState

POE = "Tests_CLI/test_poe.py"
SHARED = Owner("local:alice", "/home/alice/fsw", exact=False)

Open = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture
def opened(tmp_path: Path, tree: JsonValue) -> Open:
    return lambda **settings: open_world(tmp_path, tree=tree, **settings)


async def call_of(world: World, owner: Owner = ALICE, **fields: Any) -> Call:
    async def report(*_watches: Watch) -> None:
        """Report to nobody."""

    return Call(owner, await world.services.watches.inbox.begin(owner), world.services, report, **fields)


async def run(world: World, **arguments: Any) -> StartOutcome:
    return await start_run(RunPytestArguments(lab=LAB, testcase=[POE], **arguments), await call_of(world))


async def upgrade(world: World, **arguments: Any) -> StartOutcome:
    request = StartUpgradeArguments(testbed=LAB, mode="build", build_number="6957", **arguments)
    return await start_upgrade_job(request, await call_of(world))


async def test_a_start_that_tp_accepts_has_its_watch_and_notes(world: World) -> None:
    outcome = await upgrade(world)
    assert isinstance(outcome, Started)
    assert (outcome.watch.state, outcome.watch.kind, outcome.watch.testbed) == (WatchState.ACTIVE, "upgrade", LAB)
    assert outcome.notes == ("An upgrade takes 2 to 15 minutes, reboots the devices, and cannot be cancelled.",)
    assert outcome.advice == "Run tests only once it has ended."


async def test_a_start_that_tp_never_answers_has_a_watch_that_is_still_starting(world: World) -> None:
    world.fault("start_upgrade", "cut", times=1)
    outcome = await upgrade(world)
    assert isinstance(outcome, Started)
    assert outcome.watch.state is WatchState.STARTING


async def test_the_same_start_again_has_the_first_watch(world: World) -> None:
    first, again = await run(world), await run(world)
    assert isinstance(first, Started)
    assert again == AlreadyStarted(first.watch)
    assert world.written == ["start_pytest"]


async def test_a_dry_run_of_the_same_start_has_its_plan_all_the_same(world: World) -> None:
    await run(world)
    outcome = await run(world, dry_run=True)
    assert isinstance(outcome, Planned)
    assert outcome.plan.what.startswith(f"run of {POE}")


async def test_a_plan_that_needs_a_confirmation_comes_with_its_code(opened: Open) -> None:
    async with opened(confirm="upgrades") as world:
        outcome = await upgrade(world)
        assert isinstance(outcome, NeedsConfirmation)
        assert not outcome.by_person
        assert world.written == []
        assert isinstance(await upgrade(world, confirm=outcome.code), Started)


async def test_on_a_protected_testbed_a_person_has_to_approve_the_code(opened: Open) -> None:
    async with opened(protected_testbeds=("AT16*",)) as world:
        outcome = await run(world)
        assert isinstance(outcome, NeedsConfirmation)
        assert (outcome.by_person, outcome.protected) == (True, LAB)
        refused = await run(world, confirm=outcome.code)
        assert isinstance(refused, Refused)
        assert isinstance(refused.error, ConfirmationError)


async def test_a_refusal_of_this_server_and_one_of_tp_are_outcomes(opened: Open) -> None:
    async with opened(read_only=True) as world:
        outcome = await run(world)
        assert isinstance(outcome, Refused)
        assert isinstance(outcome.error, PolicyError)
        assert world.written == []


async def test_a_refusal_of_tp_is_an_outcome_and_an_end_of_its_watch(world: World) -> None:
    world.rival_runs(POE)
    outcome = await run(world)
    assert isinstance(outcome, Refused)
    assert isinstance(outcome.error, TpBusyError)
    [watch] = await world.services.watches.registry.list(ALICE, all_conversations=False)
    assert watch.state is WatchState.FAILED


async def test_a_refused_start_is_not_reported_again_once_its_result_has_surely_arrived(world: World) -> None:
    world.rival_runs(POE)
    call, inbox = await call_of(world), world.services.watches.inbox
    assert isinstance(await start_run(RunPytestArguments(lab=LAB, testcase=[POE]), call), Refused)
    assert await inbox.to_show(call.visit) == ()
    inbox.handed_over(call.visit, ())
    assert await inbox.to_show(await inbox.begin(ALICE)) == ()


async def test_a_refused_start_is_reported_where_its_result_was_lost(world: World) -> None:
    world.rival_runs(POE)
    await run(world)
    [entry] = await world.services.watches.inbox.to_show(await world.services.watches.inbox.begin(ALICE))
    assert "was not started" in entry.text


async def test_a_wait_beyond_the_limit_is_refused_before_tp_is_asked(world: World) -> None:
    outcome = await run(world, max_wait_seconds=9_999)
    assert isinstance(outcome, Refused)
    assert isinstance(outcome.error, InvalidArgumentError)
    assert world.asked == []


async def test_a_chain_that_would_be_refused_stops_the_start_before_it_is_confirmed(opened: Open) -> None:
    async with opened(confirm="everything") as world:
        outcome = await run(world, on_done={"tool": "run_pytest", "args": {"lab": "no_such_lab", "testcase": [POE]}})
        assert isinstance(outcome, Refused)
        assert "on_done would be refused" in str(outcome.error)
        assert world.written == []


async def test_a_chain_gets_the_arguments_as_the_caller_wrote_them(world: World) -> None:
    written = '-k "poe and not slow"'
    follow = {"tool": "run_pytest", "args": {"lab": "{args.lab}", "testcase": [POE], "argument": "{args.argument}"}}
    outcome = await run(world, argument=written, on_done=follow)
    assert isinstance(outcome, Started)
    assert outcome.watch.chain is not None
    [link] = outcome.watch.chain.links
    assert link.args["argument"] == written
    assert outcome.watch.origin.arguments["argument"] != written


async def observe(world: World, exec_id: int, **arguments: Any) -> StartOutcome:
    asked = StartWatchArguments(tool="get_execution", args={"exec_id": exec_id}, **arguments)
    return await watch_job(asked, await call_of(world))


async def test_the_same_watch_of_another_ones_job_again_has_the_first_watch(world: World) -> None:
    exec_id = world.rival_runs(POE)
    first, again = await observe(world, exec_id), await observe(world, exec_id)
    assert isinstance(first, Started)
    assert (first.watch.kind, first.watch.testbed) == ("execution", LAB)
    assert again == AlreadyStarted(first.watch, only_watched=True)


async def test_a_watch_whose_chain_would_be_refused_is_not_made(world: World) -> None:
    follow = {"tool": "run_pytest", "args": {"lab": "no_such_lab", "testcase": [POE]}}
    outcome = await observe(world, world.rival_runs(POE), on_done=follow)
    assert isinstance(outcome, Refused)
    assert "on_done would be refused" in str(outcome.error)
    assert await world.services.watches.registry.list(ALICE, all_conversations=True) == ()


async def test_the_baseline_is_the_last_thing_that_is_read_before_the_request_is_sent(world: World) -> None:
    await run(world)
    assert world.asked[-2:] == ["list_executions", "start_pytest"]
    await upgrade(world)
    assert world.asked[-2:] == ["get_upgrade", "start_upgrade"]


async def _start_of_a_run(world: World, owner: Owner) -> tuple[Watch, int]:
    outcome = await start_run(RunPytestArguments(lab=LAB, testcase=[POE]), await call_of(world, owner))
    assert isinstance(outcome, Started)
    return outcome.watch, 446


async def _watch_of_a_run(world: World, owner: Owner) -> tuple[Watch, int]:
    exec_id = world.simulator.start_execution("demo", {"user": "demo", "lab": LAB, "testcase": [POE]}).exec_id
    arguments = StartWatchArguments(tool="get_execution", args={"exec_id": exec_id})
    outcome = await watch_job(arguments, await call_of(world, owner))
    assert isinstance(outcome, Started)
    return outcome.watch, exec_id


@pytest.mark.parametrize("make", [_start_of_a_run, _watch_of_a_run])
async def test_on_a_shared_key_a_later_call_that_names_the_job_has_seen_its_end(world: World, make: Any) -> None:
    watch, exec_id = await make(world, SHARED)
    await world.run_to_its_end(exec_id)
    inbox = world.services.watches.inbox
    shown = await inbox.begin(SHARED)
    assert [entry.watch_id for entry in await inbox.to_show(shown)] == [watch.id]
    inbox.handed_over(shown, (watch.id,))
    await world.call("get_execution", owner=SHARED, exec_id=exec_id)
    assert await inbox.to_show(await inbox.begin(SHARED)) == ()
