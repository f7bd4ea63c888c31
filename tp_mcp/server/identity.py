"""Which conversation a request belongs to, and whose it is.

A client that names the conversation gives an exact key: in the request's `_meta`, in the environment of the server it
spawned, in a header that is configured, or by its session of the handshake era over HTTP. Otherwise the key is one that
two chats may share: the project directory of a stdio process, or for HTTP one key for each principal.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    # Only named here: the first answers must not wait for the import.
    from collections.abc import Callable, Mapping

    from mcp.server.context import ServerRequestContext
    from starlette.requests import Request

    from tp_mcp.watch.model.watch import Owner

META_KEYS = ("threadId", "sessionId", "vscode.conversationId", "ai.opencode/sessionID")
"""Keys under which clients name the conversation; the first one present counts."""

NAME_MAX_CHARACTERS = 128
SESSION_HEADER = "mcp-session-id"
SESSIONLESS_SINCE = "2026-07-28"
"""First protocol version without sessions, session headers and requests of servers; versions are dates as texts."""

HTTP_SHARED_KEY = "http"
"""The key of indistinguishable HTTP requests, and of the watches of gone sessions."""

HTTP_PRINCIPAL = "local"
"""The principal of every HTTP request without authentication, which only this machine may send."""


class Identity(Protocol):
    """Finds the owner of a request."""

    def of(self, ctx: ServerRequestContext[Any, Any], /) -> Owner:
        """Return the principal and the conversation of a request."""


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """The user and conversation of a process.

    Attributes:
        principal: the user of the process, e.g. `local:alice`.
        conversation: the conversation that its environment names; None where it names none.
    """

    principal: str
    conversation: str | None
    project: str

    def of(self, ctx: ServerRequestContext[Any, Any]) -> Owner:
        """Return the principal and the conversation of a request."""
        return self.owner(ctx.meta)

    def owner(self, meta: Mapping[str, Any] | None) -> Owner:
        """Return whose a request with this `_meta` is."""
        from tp_mcp.watch.model.watch import Owner  # noqa: PLC0415 -- after the first answer

        named = _named_in(meta)
        if named is not None:
            return Owner(self.principal, named, exact=True)
        if self.conversation:
            return Owner(self.principal, f"environment:{_short(self.conversation)}", exact=True)
        return Owner(self.principal, f"project:{_short(self.project)}", exact=False)


def everyone(_: Request) -> str:
    """Return the principal of an HTTP request where there is no authentication: one for all."""
    return HTTP_PRINCIPAL


@dataclass(frozen=True, slots=True)
class HttpIdentity:
    """The user and conversation of an HTTP request; `header` is the one, if any, that names the conversation."""

    principal_of: Callable[[Request], str] = everyone
    header: str | None = None

    def of(self, ctx: ServerRequestContext[Any, Any]) -> Owner:
        """Return the principal and the conversation of a request."""
        from tp_mcp.watch.model.watch import Owner  # noqa: PLC0415 -- after the first answer

        if ctx.request is None:
            raise ValueError("this request did not come over HTTP")
        request: Request = ctx.request
        principal = self.principal_of(request)
        named = _named_in(ctx.meta)
        if named is not None:
            return Owner(principal, named, exact=True)
        if self.header is not None and (name := request.headers.get(self.header)):
            return Owner(principal, f"header:{_short(name)}", exact=True)
        session = request.headers.get(SESSION_HEADER)
        if session and ctx.protocol_version < SESSIONLESS_SINCE:
            return Owner(principal, session_key(session), exact=True, also=HTTP_SHARED_KEY)
        return Owner(principal, HTTP_SHARED_KEY, exact=False)


def session_key(session_id: str) -> str:
    """Return the conversation key of a session without the session id, which grants access to the session."""
    from tp_mcp.watch.model.watch import SESSION_KEY_PREFIX  # noqa: PLC0415 -- after the first answer

    return SESSION_KEY_PREFIX + _digest(session_id)


def _named_in(meta: Mapping[str, Any] | None) -> str | None:
    for key in META_KEYS:
        named = (meta or {}).get(key)
        if isinstance(named, str) and named:
            return f"{key}:{_short(named)}"
    return None


def _short(name: str) -> str:
    # A client may send anything; a digest of what is too long, or cannot be written as text, is as good a key.
    if len(name) <= NAME_MAX_CHARACTERS and name.isprintable():
        return name
    return f"sha256:{_digest(name)}"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
