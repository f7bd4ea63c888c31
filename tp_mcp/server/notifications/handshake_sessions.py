"""Sessions of the handshake era (protocols up to 2025-11-25), and the notifications they get.

Nobody waits for a session's reader: its notifications wait in a queue of its own, which is emptied in a task of its
own, each within `PUSH_SECONDS`. A session whose reader is late gets nothing more until its next request.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

import anyio
from mcp import MCPError
from mcp.types import INVALID_PARAMS, LoggingLevel

from tp_mcp.server.identity import SESSIONLESS_SINCE
from tp_mcp.server.outgoing import send_log_message

if TYPE_CHECKING:
    # Only named here: the first answers must not wait for the imports.
    from collections.abc import Callable

    from anyio.abc import TaskGroup
    from mcp.server.connection import Connection
    from mcp.server.context import ServerRequestContext

    from tp_mcp.redaction import SafeText
    from tp_mcp.server.outgoing import EndLevel
    from tp_mcp.watch.model.watch import Owner

logger = logging.getLogger(__name__)

PUSH_SECONDS = 5.0
"""How long a reader may take for one push."""

MAX_SUBSCRIPTIONS = 256
"""Resources that one session may subscribe to."""

MAX_CONVERSATIONS = 64
"""Conversations of one session whose ends it gets: those that called last."""

MAX_ENDS_WAITING = 64
"""Ends that wait for one reader; the oldest go first."""

_SEVERITY: tuple[LoggingLevel, ...] = get_args(LoggingLevel)


@dataclass(slots=True, eq=False)
class _Session:
    """One connection: its conversations, its subscriptions, and the notifications that wait."""

    connection: Connection
    owners: dict[Owner, None] = field(default_factory=dict)
    subscribed: dict[str, Owner] = field(default_factory=dict)
    level: LoggingLevel = "debug"
    uris: dict[str, None] = field(default_factory=dict)
    ends: deque[tuple[EndLevel, SafeText]] = field(default_factory=lambda: deque(maxlen=MAX_ENDS_WAITING))
    sending: bool = False
    stalled: bool = False


class HandshakeSessions:
    """The sessions that can get notifications."""

    def __init__(self) -> None:
        self._sessions: dict[Connection, _Session] = {}

    def heard(self, ctx: ServerRequestContext[Any, Any], owner: Owner) -> None:
        """Note a call: its session, if its protocol has sessions, gets later ends of this conversation."""
        if ctx.protocol_version < SESSIONLESS_SINCE:
            session = self._of(ctx)
            session.owners.pop(owner, None)
            session.owners[owner] = None
            while len(session.owners) > MAX_CONVERSATIONS:
                del session.owners[next(iter(session.owners))]

    def subscribe(self, ctx: ServerRequestContext[Any, Any], uri: str, owner: Owner) -> None:
        """Notify this session of a resource that the owner may read; raise MCPError beyond `MAX_SUBSCRIPTIONS`."""
        session = self._of(ctx)
        if uri not in session.subscribed and len(session.subscribed) >= MAX_SUBSCRIPTIONS:
            raise MCPError(INVALID_PARAMS, f"A session may subscribe to {MAX_SUBSCRIPTIONS} resources at most.")
        session.subscribed[uri] = owner

    def unsubscribe(self, ctx: ServerRequestContext[Any, Any], uri: str) -> None:
        """Stop notifying this session of a resource."""
        self._of(ctx).subscribed.pop(uri, None)

    def set_level(self, ctx: ServerRequestContext[Any, Any], level: LoggingLevel) -> None:
        """Send this session no log message below a level."""
        self._of(ctx).level = level

    def __len__(self) -> int:
        return len(self._sessions)

    def uris(self) -> set[str]:
        """Return the resources that some session subscribed to."""
        return {uri for session in self._sessions.values() for uri in session.subscribed}

    def wants(self, uri: str) -> bool:
        """Return whether some session subscribed to a resource."""
        return any(uri in session.subscribed for session in self._sessions.values())

    def updated(self, uri: str, may_hear: Callable[[Owner], bool], tasks: TaskGroup) -> int:
        """Notify the sessions that subscribed to a resource and may see it of a change; return their number."""
        receivers = [
            session
            for session in self._sessions.values()
            if (owner := session.subscribed.get(uri)) is not None and may_hear(owner) and not session.stalled
        ]
        for session in receivers:
            session.uris[uri] = None
            self._send(session, tasks)
        return len(receivers)

    def ended(self, text: SafeText, level: EndLevel, may_hear: Callable[[Owner], bool], tasks: TaskGroup) -> int:
        """Send the sessions of a conversation the end of a watch as a log message; return their number."""
        receivers = [
            session
            for session in self._sessions.values()
            if any(map(may_hear, session.owners))
            and _SEVERITY.index(level) >= _SEVERITY.index(session.level)
            and not session.stalled
        ]
        for session in receivers:
            session.ends.append((level, text))
            self._send(session, tasks)
        return len(receivers)

    def _of(self, ctx: ServerRequestContext[Any, Any]) -> _Session:
        # Each request has a session object of its own. Only the connection lasts.
        connection = ctx.session._connection  # noqa: SLF001 -- there is no public way to it
        session = self._sessions.get(connection)
        if session is None:
            session = self._sessions[connection] = _Session(connection)
            connection.exit_stack.callback(self._sessions.pop, connection, None)
        session.stalled = False
        return session

    def _send(self, session: _Session, tasks: TaskGroup) -> None:
        if not session.sending:
            session.sending = True
            tasks.start_soon(_empty, session)


async def _empty(session: _Session) -> None:
    try:
        while session.ends or session.uris:
            with anyio.move_on_after(PUSH_SECONDS) as scope:
                if session.ends:
                    await send_log_message(session.connection, *session.ends.popleft())
                else:
                    uri, _ = session.uris.popitem()
                    await session.connection.send_resource_updated(uri)
            session.stalled = scope.cancelled_caught
            if session.stalled:
                logger.info(
                    "A client read no notification within %g s and gets none until its next request.", PUSH_SECONDS
                )
                session.ends.clear()
                session.uris.clear()
    except Exception:
        logger.exception("A client could not be notified of a change")
    finally:
        session.sending = False
