"""Access control over changes: the policy, the pending confirmations, and the audit log."""

import logging
from dataclasses import dataclass

from tp_mcp.access.access_tokens import Tokens
from tp_mcp.access.audit_log import AuditEntry, AuditLog, Event
from tp_mcp.access.confirmations import Confirmations
from tp_mcp.access.policy import DAY_SECONDS, Action, Policy, over_budget
from tp_mcp.clock import Clock
from tp_mcp.errors import StoreError
from tp_mcp.redaction import Redactor
from tp_mcp.results.text import shorten
from tp_mcp.watch.model.watch import Owner

logger = logging.getLogger(__name__)

DETAIL_MAX_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class AccessControl:
    """The parts of access control."""

    policy: Policy
    confirmations: Confirmations
    tokens: Tokens
    audit: AuditLog
    clock: Clock
    redactor: Redactor

    def trail(self, owner: Owner, tool: str, call: str) -> "Trail":
        """Return the audit trail of one call."""
        return Trail(self, owner, tool, call)


@dataclass(frozen=True, slots=True)
class Trail:
    """Writes the audit log entries of one call."""

    control: AccessControl
    owner: Owner
    tool: str
    call: str

    async def write(self, event: Event, detail: str = "", *, action: Action | None = None, testbed: str = "") -> None:
        """Write a line; raise StoreError if that fails."""
        await self.control.audit.append(self._entry(event, detail, action, testbed))

    async def write_if_possible(self, event: Event, detail: str) -> None:
        """Write a line about what has happened; where that fails, the server's log says so."""
        try:
            await self.write(event, detail)
        except StoreError as error:
            logger.warning("The audit log lacks the %s of %s: %s", event, self.tool, error)

    async def spend(self, action: Action, testbed: str, detail: str) -> None:
        """Write that something is being sent, within the principal's budget.

        Raises:
            PolicyError: the budget is used up.
            StoreError: it could not be written, so nothing may be sent.
        """
        limit = self.control.policy.daily_limit(action)
        now = self.control.clock.now()
        entry = self._entry(Event.SENDING, detail, action, testbed)
        if limit is None:
            await self.control.audit.append(entry)
        elif not await self.control.audit.append_within(entry, limit=limit, since=now - DAY_SECONDS):
            raise over_budget(action, limit)

    def _entry(self, event: Event, detail: str, action: Action | None, testbed: str) -> AuditEntry:
        return AuditEntry(
            at=self.control.clock.now(),
            call=self.call,
            principal=self.owner.principal,
            conversation=self.owner.conversation,
            tool=self.tool,
            event=event,
            action=action,
            testbed=testbed,
            detail=shorten(self.control.redactor.safe(detail), DETAIL_MAX_CHARACTERS),
        )
