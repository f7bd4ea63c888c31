"""From what happens to watches to what clients are told of it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup

from tp_mcp.clock import Clock
from tp_mcp.server.pushing.sessions import EndLevel, HandshakeSessions
from tp_mcp.server.pushing.streams import ListenStreams
from tp_mcp.server.pushing.throttle import Throttle
from tp_mcp.server.resources.watches import INBOX_URI, watch_uri
from tp_mcp.server.results import shown
from tp_mcp.tools.services import Services
from tp_mcp.watch import words
from tp_mcp.watch.owner import Owner
from tp_mcp.watch.readings import Outcome
from tp_mcp.watch.states import Watch, WatchState

PROGRESS_SECONDS = 10.0
"""How often at most a client is told that a watch goes on: a person follows no faster."""

MAX_ENDS_REMEMBERED = 10_000
"""Ends that are not told again when they are noticed again."""

_NOT_GOOD = frozenset({Outcome.FAILED, Outcome.NO_TEST_RAN, Outcome.UNKNOWN, Outcome.CANCELLED})


class Pushes:
    """Tells streams and sessions of changes, for as long as the services are open."""

    def __init__(self, streams: ListenStreams, sessions: HandshakeSessions, clock: Clock) -> None:
        self._streams = streams
        self._sessions = sessions
        self._clock = clock
        self._told: dict[str, None] = {}

    @asynccontextmanager
    async def following(self, services: Services) -> AsyncIterator[None]:
        """Follow what happens to watches, here and in other processes of the same store."""
        async with anyio.create_task_group() as tasks:
            throttle = Throttle(seconds=PROGRESS_SECONDS, clock=self._clock, tasks=tasks)
            stop = services.news.listen(lambda watch: self._changed(watch, services, throttle, tasks))
            tasks.start_soon(services.news.look, self._wanted)
            try:
                yield
            finally:
                stop()
                tasks.cancel_scope.cancel()

    def _wanted(self) -> set[str] | None:
        uris = self._streams.uris() | self._sessions.uris()
        if not uris and not self._sessions:
            return None
        prefix = watch_uri("")
        return {uri.removeprefix(prefix) for uri in uris if uri.startswith(prefix)}

    def _changed(self, watch: Watch, services: Services, throttle: Throttle, tasks: TaskGroup) -> None:
        # The poller waits while this runs: what takes time or may fail goes on in a task of its own.
        uri = watch_uri(watch.id)
        if watch.state.ended:
            throttle.forget(uri)
            if watch.id not in self._told:
                self._told[watch.id] = None
                if len(self._told) > MAX_ENDS_REMEMBERED:
                    del self._told[next(iter(self._told))]
                tasks.start_soon(self._tell_end, watch, services, tasks)
        elif self._streams.wants(uri) or self._sessions.wants(uri):
            throttle.offer(uri, _looks(watch), lambda: tasks.start_soon(self._tell_change, watch, tasks))

    async def _tell_change(self, watch: Watch, tasks: TaskGroup) -> None:
        await self._updated(watch_uri(watch.id), _same_principal(watch.owner), tasks)

    async def _tell_end(self, watch: Watch, services: Services, tasks: TaskGroup) -> None:
        await self._tell_change(watch, tasks)
        if watch.state is WatchState.CANCELLED:
            # No news to the conversation that cancelled it, and no entry in its inbox.
            return
        if self._sessions:
            redactor = services.redactor.knowing(*services.client.secrets)
            text = shown(words.end_message(watch), redactor)
            self._sessions.ended(text, _level(watch), _same_conversation(watch.owner), tasks)
        await self._updated(INBOX_URI, _same_conversation(watch.owner), tasks)

    async def _updated(self, uri: str, may_hear: Callable[[Owner], bool], tasks: TaskGroup) -> None:
        self._sessions.updated(uri, may_hear, tasks)
        await self._streams.publish(uri, may_hear)


def _same_principal(owner: Owner) -> Callable[[Owner], bool]:
    return lambda other: other.principal == owner.principal


def _same_conversation(owner: Owner) -> Callable[[Owner], bool]:
    return lambda other: (other.principal, other.conversation) == (owner.principal, owner.conversation)


def _looks(watch: Watch) -> tuple[object, ...]:
    """Return what a reader of a watch would see change, time apart."""
    reading = watch.reading
    seen = None if reading is None else (reading.verdict, reading.phase, reading.detail, reading.counts)
    return watch.state, watch.advisory, watch.reason, watch.missing_polls, seen


def _level(watch: Watch) -> EndLevel:
    return "info" if watch.state is WatchState.DONE and watch.outcome not in _NOT_GOOD else "warning"
