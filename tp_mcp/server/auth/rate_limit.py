"""Limits requests per principal. A refused tool call gets a result that the model can read, others a protocol error."""

import math
from dataclasses import dataclass
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError

from tp_mcp.clock import Clock
from tp_mcp.errors import TooManyRequestsError
from tp_mcp.redaction import Redactor
from tp_mcp.server.identity import Identity
from tp_mcp.server.outgoing import tool_result
from tp_mcp.server.rendering import error_text

MINUTE_SECONDS = 60.0
MAX_PRINCIPALS = 10_000
"""Principals whose use is remembered; the one idle longest is forgotten first and starts afresh."""


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class RateLimit:
    """A bucket of requests for each principal, filled again as time passes."""

    def __init__(self, clock: Clock, *, per_minute: int) -> None:
        """Prepare; `per_minute` is also how many requests may be made at once after a minute of rest."""
        self._clock = clock
        self._per_minute = per_minute
        self._buckets: dict[str, _Bucket] = {}

    def wait(self, principal: str) -> float:
        """Count a request and return 0 if it may be made; otherwise return the seconds to wait."""
        now = self._clock.now()
        bucket = self._buckets.pop(principal, None) or _Bucket(self._per_minute, now)
        rate = self._per_minute / MINUTE_SECONDS
        bucket.left = min(self._per_minute, bucket.left + max(0.0, now - bucket.at) * rate)
        bucket.at = now
        # Put back at the end, so that the first is who was away longest.
        self._buckets[principal] = bucket
        if len(self._buckets) > MAX_PRINCIPALS:
            del self._buckets[next(iter(self._buckets))]
        if bucket.left < 1:
            return (1 - bucket.left) / rate
        bucket.left -= 1
        return 0.0


TOO_MANY_REQUESTS = -32029
"""The protocol error's code, in the range that JSON-RPC leaves to servers."""

UNLIMITED = frozenset({"initialize", "ping", "server/discover", "tasks/get"})
"""Methods that send nothing to TP. A client could take a refused `tasks/get` for a failed task."""


class Limiting:
    """A middleware that counts requests."""

    def __init__(self, limit: RateLimit, identity: Identity) -> None:
        self._limit = limit
        self._identity = identity

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Pass a request on, or refuse it with the time to wait."""
        method = ctx.method
        if method in UNLIMITED or method.startswith("notifications/"):
            return await call_next(ctx)
        seconds = self._limit.wait(self._identity.of(ctx).principal)
        if not seconds:
            return await call_next(ctx)
        error = TooManyRequestsError(
            "Too many requests were made with this login.", remedy=f"Wait {math.ceil(seconds)} s, and ask less often."
        )
        if method == "tools/call":
            return tool_result(error_text(error, Redactor()), is_error=True)
        raise MCPError(TOO_MANY_REQUESTS, str(error))
