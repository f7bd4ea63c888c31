"""Sessions of the handshake era as conversations: the watches of a gone session go to its principal's shared key.

A session ends with its client, and a client that comes back gets another one. So the ends of the gone session's
watches are reported to the next conversation of the same principal, until a call names them.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tp_mcp.clock import Clock
from tp_mcp.errors import StoreError
from tp_mcp.server.http.capacity import SESSION_GONE_SECONDS, SESSION_IDLE_SECONDS
from tp_mcp.server.identity import HTTP_SHARED_KEY, SESSION_HEADER, session_key
from tp_mcp.tools.framework.services import Services
from tp_mcp.watch.model.watch import SESSION_KEY_PREFIX

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 1.0
LEAVE_AGAIN_SECONDS = 60.0
"""How long after a session has gone a start that was under way may still have made a watch in its name."""

Leave = Callable[[str, frozenset[str]], Awaitable[object]]


@dataclass(slots=True)
class _Session:
    """The requests of one session.

    Attributes:
        open: how many of its requests are under way, its stream included.
        had_stream: it had a stream of its own, which a client keeps open as long as it lives.
        idle_since: when the last one ended.
        ended: its client ended it.
    """

    open: int = 0
    had_stream: bool = False
    idle_since: float = 0.0
    ended: bool = False

    def is_gone(self, now: float) -> bool:
        patience = SESSION_GONE_SECONDS if self.had_stream else SESSION_IDLE_SECONDS
        return self.open == 0 and (self.ended or now - self.idle_since >= patience)


class Sessions:
    """An ASGI application around another that notices which sessions there are."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app = app
        self._clock = clock
        self._sessions: dict[str, _Session] = {}
        self._leave_again: dict[str, float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        session_id = Headers(scope=scope).get(SESSION_HEADER) if scope["type"] == "http" else None
        if session_id is None:
            await self._app(scope, receive, send)
            return
        key, status = session_key(session_id), 500
        session: _Session | None = None

        async def noticed(message: Message) -> None:
            nonlocal session, status
            if message["type"] == "http.response.start":
                status = message["status"]
                if status < 400 and session is None:
                    # Only the application knows whether there is such a session.
                    session = self._sessions.setdefault(key, _Session())
                    session.open += 1
                    session.had_stream |= scope["method"] == "GET"
            await send(message)

        try:
            await self._app(scope, receive, noticed)
        finally:
            if session is not None:
                session.open -= 1
                session.idle_since = self._clock.now()
                session.ended |= scope["method"] == "DELETE"

    @asynccontextmanager
    async def following(self, services: Services) -> AsyncIterator[None]:
        """Move the watches of gone sessions to the shared key while this context lasts."""

        async def leave(prefix: str, but_for: frozenset[str]) -> None:
            await services.watches.store.leave(prefix, but_for=but_for, to_key=HTTP_SHARED_KEY)

        async def sweep() -> None:
            while True:
                await self._clock.sleep(SWEEP_SECONDS)
                await self.sweep(leave)

        # Sessions die with the process that knew them.
        await leave(SESSION_KEY_PREFIX, frozenset(self._sessions))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sweep)
            yield
            tasks.cancel_scope.cancel()

    async def sweep(self, leave: Leave) -> None:
        """Forget sessions that are gone; `leave` moves everything under keys with a prefix, except some keys."""
        now = self._clock.now()
        gone = [key for key, session in self._sessions.items() if session.is_gone(now)]
        due = [key for key, at in self._leave_again.items() if at <= now and key not in self._sessions]
        for key in (*gone, *due):
            try:
                await leave(key, frozenset())
            except StoreError as error:
                logger.warning("The watches of a gone session could not be moved yet: %s", error)
                return
            self._leave_again.pop(key, None)
            if self._sessions.pop(key, None) is not None:
                self._leave_again[key] = now + LEAVE_AGAIN_SECONDS
