"""A principal who asks too often is told so: the model in a result it can read, everything else in a protocol error."""

import math
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError

from tp_mcp.errors import TooManyRequestsError
from tp_mcp.redaction import Redactor
from tp_mcp.server.auth.rate import RateLimit
from tp_mcp.server.conversations import Identity
from tp_mcp.server.results import error_text, tool_result

TOO_MANY_REQUESTS = -32029
"""The protocol error's code, in the range that JSON-RPC leaves to servers."""

UNLIMITED = frozenset({"initialize", "ping", "server/discover", "tasks/get"})
"""What asks nothing of TP; a client could take a refused `tasks/get` for the failure of its task."""


class Limiting:
    """A middleware that counts requests."""

    def __init__(self, limit: RateLimit, identity: Identity) -> None:
        self._limit = limit
        self._identity = identity

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Let a request through, or say when one may be made again."""
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
