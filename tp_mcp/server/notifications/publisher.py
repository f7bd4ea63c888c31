"""Notifies clients of changes and ends of watches."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup

from tp_mcp.clock import Clock
from tp_mcp.server.notifications.handshake_sessions import HandshakeSessions
from tp_mcp.server.notifications.listen_streams import ListenStreams
from tp_mcp.server.outgoing import EndLevel
from tp_mcp.server.resources import INBOX_URI, watch_uri
from tp_mcp.tools.framework.services import Services
from tp_mcp.watch.delivery import messages
from tp_mcp.watch.delivery.change_feed import Throttle, appearance_of, is_news
from tp_mcp.watch.delivery.delivery_log import Channel
from tp_mcp.watch.model.reading import Outcome
from tp_mcp.watch.model.watch import Owner, Watch, WatchState

logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 10.0
"""Shortest time between two updates on a running watch: a person follows no faster."""

MAX_ENDS_REMEMBERED = 10_000
"""Ends that are remembered, so that each is sent once even if it is noticed again."""

_NOT_GOOD = frozenset({Outcome.FAILED, Outcome.NO_TEST_RAN, Outcome.UNKNOWN, Outcome.CANCELLED})


class Pushes:
    """Notifies streams and sessions of changes while the services are open."""

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
            feed = services.watches.feed
            stop = feed.listen(lambda watch: self._changed(watch, services, throttle, tasks), self._wanted)
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
        # The poller waits while this runs: anything slow or unsafe runs in a task of its own.
        uri = watch_uri(watch.id)
        if watch.state.ended:
            throttle.forget(uri)
            if watch.id not in self._told:
                self._told[watch.id] = None
                if len(self._told) > MAX_ENDS_REMEMBERED:
                    del self._told[next(iter(self._told))]
                tasks.start_soon(self._tell_end, watch, services, tasks)
        elif self._streams.wants(uri) or self._sessions.wants(uri):
            throttle.offer(uri, appearance_of(watch), lambda: tasks.start_soon(self._tell_change, watch, tasks))

    async def _tell_change(self, watch: Watch, tasks: TaskGroup) -> int:
        return await self._updated(watch_uri(watch.id), _same_principal(watch.owner), tasks)

    async def _tell_end(self, watch: Watch, services: Services, tasks: TaskGroup) -> None:
        subscribed = await self._tell_change(watch, tasks)
        logged = 0
        if is_news(watch):
            logged = self._log(watch, services, tasks) if self._sessions else 0
            subscribed += await self._updated(INBOX_URI, _same_conversation(watch.owner), tasks)
        for channel, times in ((Channel.SUBSCRIPTION, subscribed), (Channel.LOG_MESSAGE, logged)):
            if times:
                await services.watches.deliveries.record(watch.id, channel, "sent")

    def _log(self, watch: Watch, services: Services, tasks: TaskGroup) -> int:
        try:
            text = services.tp.redactor.safe(messages.end_message(watch))
        except Exception:
            # An end without a text must not stop the notifications of everybody else.
            logger.exception("The end of %s was not sent to any session", watch.id)
            return 0
        return self._sessions.ended(text, _level(watch), _same_conversation(watch.owner), tasks)

    async def _updated(self, uri: str, may_hear: Callable[[Owner], bool], tasks: TaskGroup) -> int:
        return self._sessions.updated(uri, may_hear, tasks) + await self._streams.publish(uri, may_hear)


def _same_principal(owner: Owner) -> Callable[[Owner], bool]:
    return lambda other: other.principal == owner.principal


def _same_conversation(owner: Owner) -> Callable[[Owner], bool]:
    return lambda other: (other.principal, other.conversation) == (owner.principal, owner.conversation)


def _level(watch: Watch) -> EndLevel:
    return "info" if watch.state is WatchState.DONE and watch.outcome not in _NOT_GOOD else "warning"
