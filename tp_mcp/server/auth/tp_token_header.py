"""The TP token that a client passes through with a request: it serves that request alone."""

from typing import Any

from mcp.server.context import ServerRequestContext
from pydantic import SecretStr

from tp_mcp.tools.framework.tp_identities import TP_TOKEN_HEADER


def passed_token(ctx: ServerRequestContext[Any, Any]) -> SecretStr | None:
    """Return it; None where there is none, as over standard input and output."""
    text = None if ctx.request is None else ctx.request.headers.get(TP_TOKEN_HEADER)
    return SecretStr(text) if text else None
