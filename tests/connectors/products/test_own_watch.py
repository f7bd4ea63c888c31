"""What connectors of other products start, watched by this project's own store, poller and machine to its end.

Where Forge waits for its limit, `fail_match` ends a watch at the poll that shows the failure.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from anyio.abc import TaskGroup
from pydantic import JsonValue

from tests.connectors.products.stubs import CiServer, Scanner, serving
from tests.connectors.products.test_products import HERE, ci_settings
from tests.support.clock import FakeClock, FakeTimer, step_clock
from tests.support.process import CountedTasks
from tp_mcp.connectors.loader import load_manifest
from tp_mcp.connectors.match import resolve_match
from tp_mcp.connectors.runner import ConnectorRunner
from tp_mcp.errors import ConnectorError, TpUnreachableError
from tp_mcp.jobs.kind import poll_args, spec_of
from tp_mcp.jobs.match_rule import MATCH_RULE, MatchRule
from tp_mcp.storage.opening import open_storage
from tp_mcp.watch.delivery.change_feed import ChangeFeed
from tp_mcp.watch.delivery.inbox import Inbox
from tp_mcp.watch.model.watch import Origin, Owner, Watch, WatchState
from tp_mcp.watch.polling.interpretation import Interpreter
from tp_mcp.watch.polling.poller import Poller
from tp_mcp.watch.registry import Accepted, Intent, WatchRegistry

ALICE = Owner("local:alice", "environment:one", exact=True)


class Reader:
    """Polls a connector's tool."""

    def __init__(self, runner: ConnectorRunner) -> None:
        self._runner = runner
        self.polls = 0

    async def read(self, tool: str, args: Mapping[str, JsonValue], _identity: str = "") -> JsonValue:
        self.polls += 1
        try:
            return (await self._runner.run(tool, args)).value
        except ConnectorError as error:
            raise TpUnreachableError(error.message) from None


@dataclass
class Watching:
    runner: ConnectorRunner
    reader: Reader
    registry: WatchRegistry
    inbox: Inbox
    clock: FakeClock
    timer: FakeTimer
    tasks: CountedTasks

    async def start(self, tool: str, args: dict[str, Any]) -> Watch:
        block = self.runner.manifest.tools[tool].async_block
        assert block is not None
        settings = self.runner.public_settings
        fails = None if block.fail_match is None else resolve_match(block.fail_match, {"args": args})
        done = resolve_match(block.done_match, {"args": args, "settings": settings})
        spec = replace(spec_of(block, rule=MATCH_RULE), done_match=done, fail_match=fails)

        async def send() -> Accepted:
            result = (await self.runner.run(tool, args)).value
            return Accepted(answer=result, spec_args=poll_args(block, args=args, result=result))

        intent = Intent(owner=ALICE, origin=Origin(tool, args), title=tool, job=tool, spec=spec)
        return await self.registry.start(intent, send)

    async def told(self) -> str:
        """Return what the conversation is told of the one end there is."""
        (entry,) = await self.inbox.to_show(await self.inbox.begin(ALICE))
        return entry.text

    async def ended(self, watch: Watch, seconds: float) -> Watch:
        end = self.clock.now() + seconds
        while self.clock.now() < end:
            await self.tasks.idle()
            self.clock.time += 5
            if self.timer.at is not None and self.timer.at <= self.clock.now():
                await self.timer.fire()
        await self.tasks.idle()
        return await self.registry.get(watch.id, ALICE)


@asynccontextmanager
async def watching(product: str, settings: dict[str, Any], directory: Path) -> AsyncIterator[Watching]:
    clock, timer = step_clock(), FakeTimer()
    store = (await open_storage(directory)).watches
    manifest = load_manifest(HERE / f"{product}.yaml").manifest
    async with ConnectorRunner(manifest, settings, clock=clock) as runner, anyio.create_task_group() as group:
        tasks = CountedTasks(group)
        feed = ChangeFeed(store=store, clock=clock, task_group=group)
        reader = Reader(runner)
        poller = Poller(
            store=store,
            feed=feed,
            interpreter=Interpreter(reader, {MATCH_RULE: MatchRule()}, {}),
            clock=clock,
            timer=timer,
            task_group=cast(TaskGroup, tasks),
            on_change=feed.publish,
        )
        registry = WatchRegistry(
            store=store, poller=poller, feed=feed, clock=clock, server="http://product", task_group=group
        )
        await registry.resume()
        poller.start()
        yield Watching(runner, reader, registry, Inbox(store=store, clock=clock), clock, timer, tasks)
        poller.stop()
        group.cancel_scope.cancel()
    await store.close()


@pytest.mark.parametrize(
    ("phase", "state", "said"),
    [
        ("FINISHED", WatchState.DONE, "a/b: HIGH first of 2"),
        ("BROKEN", WatchState.FAILED, "a/b could not be scanned: BROKEN"),
    ],
)
async def test_a_scan_ends_as_it_ended_at_the_poll_that_shows_it(
    phase: str, state: WatchState, said: str, tmp_path: Path
) -> None:
    with serving(Scanner(phase)) as stub:
        settings = {"base_url": stub.url, "api_token": "scan-s3cret"}
        async with watching("scanner", settings, tmp_path) as world:
            watch = await world.start("start_scan", {"project": "a/b"})
            assert watch.state is WatchState.ACTIVE
            ended = await world.ended(watch, 200)
            assert world.reader.polls == 4
            assert said in await world.told()
    assert ended.state is state
    assert "s3cret" not in repr(ended)


async def test_a_build_that_was_aborted_ends_as_failed(tmp_path: Path) -> None:
    server = CiServer("ABORTED")
    server.looks = 2
    with serving(server) as stub:
        async with watching("ci", ci_settings(stub.url), tmp_path) as world:
            build = {"job_path": "job/team/job/app", "number": 118, "instance": "main"}
            watch = await world.start("follow_build", build)
            ended = await world.ended(watch, 120)
            assert "Build 118 did not end well: ABORTED." in await world.told()
    assert ended.state is WatchState.FAILED
