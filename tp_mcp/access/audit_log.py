"""The audit log: who asked for what change, how it was decided, what was sent, and what came of it."""

import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from tp_mcp.access.policy import Action


class Event(StrEnum):
    """A step in the life of one call that would change something."""

    ASKED = "asked"
    REFUSED = "refused"
    """By a check or by the policy; nothing was sent."""
    SHOWN = "plan shown"
    CONFIRMED = "confirmed"
    SENDING = "sending"
    OUTCOME = "outcome"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the log.

    Attributes:
        at: seconds since the epoch.
        call: what the lines of one call have in common.
        action: the change; None where the call did not get so far as to tell.
        testbed: the testbed that it would change; empty if unknown.
        detail: in words, or arguments as JSON; secrets are redacted.
    """

    at: float
    call: str
    principal: str
    conversation: str
    tool: str
    event: Event
    action: Action | None = None
    testbed: str = ""
    detail: str = ""


def new_call_id() -> str:
    """Return what the lines of one call have in common."""
    return f"a_{secrets.token_hex(6)}"


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which lines to read: the newest `limit` since a time in seconds since the epoch."""

    since: float = 0.0
    testbed: str | None = None
    principal: str | None = None
    limit: int = field(default=200)


class AuditLog(Protocol):
    """Keeps the log. It can only be appended to. Every method may raise StoreError."""

    async def append(self, entry: AuditEntry) -> None:
        """Write a line."""

    async def append_within(self, entry: AuditEntry, *, limit: int, since: float) -> bool:
        """Write that something is being sent, unless the principal did so `limit` times since a time already.

        Counting and writing are one transaction, so that two calls cannot both be the last one.

        Returns:
            Whether it was written.
        """

    async def read(self, wanted: AuditFilter) -> tuple[AuditEntry, ...]:
        """Return lines, oldest first."""
