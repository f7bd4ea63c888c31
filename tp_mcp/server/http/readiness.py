"""Whether the server can work: its store, and TP. What it says names no path, no address and no secret."""

from dataclasses import dataclass

import anyio

from tp_mcp.clock import Clock
from tp_mcp.errors import TpForbiddenError, TpMcpError, TpNotAuthenticatedError, TpUnreachableError
from tp_mcp.server.backend import Backend
from tp_mcp.server.http.limits import LOOK_SECONDS, READY_SECONDS


@dataclass(frozen=True, slots=True)
class Found:
    """What a look found.

    Attributes:
        ready: whether the server can work.
        store: how the store stands, in a word or two.
        tp: how TP stands.

    """

    ready: bool
    store: str
    tp: str


class Readiness:
    """Looks at the store and TP, at most once in `READY_SECONDS`, however many ask."""

    def __init__(self, backend: Backend, clock: Clock) -> None:
        self._backend = backend
        self._clock = clock
        self._looking = anyio.Lock()
        self._found: Found | None = None
        self._found_at = 0.0

    async def look(self) -> Found:
        """Return how the server stands."""
        async with self._looking:
            now = self._clock.now()
            if self._backend.closing:
                return Found(ready=False, store="closing", tp="not asked")
            if self._found is None or not 0 <= now - self._found_at < READY_SECONDS:
                self._found, self._found_at = await self._look(), now
            return self._found

    async def _look(self) -> Found:
        with anyio.move_on_after(LOOK_SECONDS):
            try:
                services = await self._backend.services()
            except TpMcpError:
                return Found(ready=False, store="not open; see the server's log", tp="not asked")
            if services.principals is not None and not services.principals.service_account:
                return Found(ready=True, store="open", tp="not asked: each user has a login of their own")
            tp = "answers"
            try:
                await services.client.list_labs()
            except TpMcpError as error:
                tp = _words(error)
            return Found(ready=tp == "answers", store="open", tp=tp)
        return Found(ready=False, store="not known", tp=f"no answer within {LOOK_SECONDS:g} s")


def _words(error: TpMcpError) -> str:
    match error:
        case TpUnreachableError():
            return "not reached"
        case TpNotAuthenticatedError() | TpForbiddenError():
            return "does not let the server in"
        case _:
            return "answers, but not as expected"
