"""Listen streams, which notify clients of the 2026-07-28 protocol of changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import anyio
from mcp import MCPError
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated
from mcp.types import (
    INTERNAL_ERROR,
    RequestId,
    ServerNotification,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
)

if TYPE_CHECKING:
    # Only named here: the first answers must not wait for the imports.
    from collections.abc import Callable

    from mcp.server.context import ServerRequestContext
    from mcp.server.session import ServerSession

    from tp_mcp.watch.model.watch import Owner

MAX_STREAMS = 1_024
"""Open listen streams of one server process."""

MAX_STREAMS_OF_PRINCIPAL = 64
"""Open listen streams of one principal, so that one cannot use up everybody's."""

MAX_URIS = 256
"""Resources of one listen stream; more are not honoured."""

MAX_BACKLOG = 64
"""Events that wait for one reader; one more ends its stream, and the client opens another."""


PUSH_SECONDS = 5.0
"""How long a reader may take for one event; one that takes longer loses its stream."""


@dataclass(frozen=True, slots=True, eq=False)
class _Stream:
    """One open stream; it has a bus of its own, so that nobody hears of what is another's."""

    owner: Owner
    uris: frozenset[str]
    bus: InMemorySubscriptionBus
    handler: ListenHandler


class ListenStreams:
    """Serves `subscriptions/listen`, and publishes to the streams whose owner may see it."""

    def __init__(self) -> None:
        self._streams: set[_Stream] = set()

    async def serve(
        self, ctx: ServerRequestContext[Any, Any], params: SubscriptionsListenRequestParams, owner: Owner
    ) -> SubscriptionsListenResult:
        """Serve one stream until its client leaves or `close`. The resources in `params` must be the owner's to read.

        Raises:
            MCPError: there are too many streams already.
        """
        of_principal = sum(stream.owner.principal == owner.principal for stream in self._streams)
        if len(self._streams) >= MAX_STREAMS or of_principal >= MAX_STREAMS_OF_PRINCIPAL:
            raise MCPError(INTERNAL_ERROR, "There are too many listen streams open already; close one first.")
        bus = InMemorySubscriptionBus()
        handler = ListenHandler(bus, max_subscriptions=1, max_buffered_events=MAX_BACKLOG)
        uris = frozenset(params.notifications.resource_subscriptions or ())
        stream = _Stream(owner, uris, bus, handler)
        self._streams.add(stream)
        timed = cast("ServerSession", _TimedSession(ctx.session))
        try:
            return await handler(replace(ctx, session=timed), params)
        except TimeoutError:
            raise MCPError(INTERNAL_ERROR, "Nothing was read from this stream for too long; open another.") from None
        finally:
            self._streams.discard(stream)

    def uris(self) -> set[str]:
        """Return the resources that some stream listens to."""
        return {uri for stream in self._streams for uri in stream.uris}

    def wants(self, uri: str) -> bool:
        """Return whether some stream listens to a resource."""
        return any(uri in stream.uris for stream in self._streams)

    async def publish(self, uri: str, may_hear: Callable[[Owner], bool]) -> int:
        """Notify the streams that listen to a resource and may see it of a change; return their number.

        No reader is waited for: its events wait in its own backlog.
        """
        listening = [stream for stream in self._streams if uri in stream.uris and may_hear(stream.owner)]
        for stream in listening:
            await stream.bus.publish(ResourceUpdated(uri=uri))
        return len(listening)

    def close(self) -> None:
        """End every stream in order: each sends what waits, and its result."""
        for stream in tuple(self._streams):
            stream.handler.close()


class _TimedSession:
    """The session of a listen request, as its handler sees it: nothing it sends waits for a reader without end."""

    def __init__(self, session: ServerSession) -> None:
        self._session = session

    async def send_notification(
        self, notification: ServerNotification, related_request_id: RequestId | None = None
    ) -> None:
        with anyio.fail_after(PUSH_SECONDS):
            await self._session.send_notification(notification, related_request_id)
