"""Subscribing to resources, on both protocol eras: `resources/subscribe` in a session, `subscriptions/listen` without.

A client can subscribe only to what it may read; another principal's resource looks missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcp import MCPError
from mcp.types import (
    INVALID_PARAMS,
    EmptyResult,
    SetLevelRequestParams,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from tp_mcp.server.notifications.handshake_sessions import HandshakeSessions
from tp_mcp.server.notifications.listen_streams import MAX_URIS, ListenStreams

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from mcp.server.context import ServerRequestContext
    from mcp.server.lowlevel.server import Server

    from tp_mcp.clock import Clock
    from tp_mcp.tools.framework.services import Services
    from tp_mcp.watch.model.watch import Owner

    Context = ServerRequestContext[Any, Any]


class Subscriptions:
    """The clients' subscriptions, and the requests that make them."""

    def __init__(self, owner_of: Callable[[Context], Owner], read: Callable[[Context, str], Awaitable[object]]) -> None:
        """Prepare; `read` raises MCPError with INVALID_PARAMS for what the owner of a request may not read."""
        self._owner_of = owner_of
        self._read = read
        self._streams = ListenStreams()
        self._sessions = HandshakeSessions()

    def add_to(self, server: Server[Any]) -> None:
        """Register the request handlers with a server."""
        server.add_request_handler("resources/subscribe", SubscribeRequestParams, self._subscribe)
        server.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, self._unsubscribe)
        server.add_request_handler("logging/setLevel", SetLevelRequestParams, self._set_level)
        server.add_request_handler("subscriptions/listen", SubscriptionsListenRequestParams, self._listen)

    def heard(self, ctx: Context, owner: Owner) -> None:
        """Note a call, so that its session gets later ends of its conversation."""
        self._sessions.heard(ctx, owner)

    def pushed(self, services: Services, clock: Clock) -> AbstractAsyncContextManager[None]:
        """Return a context in which clients are notified of changes and ends of watches."""
        from tp_mcp.server.notifications.publisher import Pushes  # noqa: PLC0415 -- after the first answer

        return Pushes(self._streams, self._sessions, clock).following(services)

    def close(self) -> None:
        """End every listen stream in order, as a server does that stops."""
        self._streams.close()

    async def _subscribe(self, ctx: Context, params: SubscribeRequestParams) -> EmptyResult:
        uri = str(params.uri)
        await self._read(ctx, uri)
        self._sessions.subscribe(ctx, uri, self._owner_of(ctx))
        return EmptyResult()

    async def _unsubscribe(self, ctx: Context, params: UnsubscribeRequestParams) -> EmptyResult:
        self._sessions.unsubscribe(ctx, str(params.uri))
        return EmptyResult()

    async def _set_level(self, ctx: Context, params: SetLevelRequestParams) -> EmptyResult:
        self._sessions.set_level(ctx, params.level)
        return EmptyResult()

    async def _listen(self, ctx: Context, params: SubscriptionsListenRequestParams) -> SubscriptionsListenResult:
        asked = params.notifications.resource_subscriptions or []
        readable = [uri for uri in dict.fromkeys(asked[:MAX_URIS]) if await self._is_readable(ctx, uri)]
        honoured = params.notifications.model_copy(update={"resource_subscriptions": readable or None})
        return await self._streams.serve(
            ctx, params.model_copy(update={"notifications": honoured}), self._owner_of(ctx)
        )

    async def _is_readable(self, ctx: Context, uri: str) -> bool:
        try:
            await self._read(ctx, uri)
        except MCPError as error:
            if error.code != INVALID_PARAMS:
                raise
            return False
        return True
