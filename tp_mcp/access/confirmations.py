"""Questions that wait for their answer: each is a row that one answer, within a few minutes, can use once."""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Protocol

from tp_mcp.access.proposal import Proposal, changed_lines
from tp_mcp.clock import Clock
from tp_mcp.errors import ConfirmationError
from tp_mcp.results.text import format_duration
from tp_mcp.watch.owner import Owner

CODE_SECONDS = 300.0
"""How long a code can be used."""

CODE_BYTES = 6
_ASK_ANEW = "Call again without confirm: the plan is shown anew, with a new code."


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A question, and what became of it.

    Attributes:
        code_hash: SHA-256 of its code; the code itself is not kept.
        principal: who was asked.
        conversation: in which conversation.
        digest: of the proposal that it is about.
        plan: the proposal's lines, as they were shown.
        testbed: what it would change.
        by_person: it counts only once a person has approved it.
        expires_at: seconds since the epoch.
        approved_at: when a person approved it.
        used_at: when it was used.

    """

    code_hash: str
    principal: str
    conversation: str
    digest: str
    plan: tuple[str, ...]
    testbed: str
    by_person: bool
    expires_at: float
    approved_at: float | None = None
    used_at: float | None = None


class ConfirmationStore(Protocol):
    """Keeps confirmations. Every method may raise StoreError."""

    async def add(self, confirmation: Confirmation) -> None:
        """Write a new one; drops those that expired long ago."""
        ...

    async def get(self, code_hash: str) -> Confirmation | None:
        """Return one."""
        ...

    async def approve(self, code_hash: str, at: float) -> bool:
        """Write that a person approved it; False where it was approved, used or expired by then."""
        ...

    async def use(self, code_hash: str, at: float) -> bool:
        """Write that it is used; False where it was used or expired by then. Of two callers, one gets True."""
        ...


class Confirmations:
    """Asks, and takes answers."""

    def __init__(self, store: ConfirmationStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def ask(self, owner: Owner, proposal: Proposal, *, by_person: bool) -> str:
        """Write a question down, and return the code that answers it."""
        code = f"c_{secrets.token_hex(CODE_BYTES)}"
        await self._store.add(
            Confirmation(
                code_hash=hash_of(code),
                principal=owner.principal,
                conversation=owner.conversation,
                digest=proposal.digest,
                plan=proposal.lines(),
                testbed=proposal.testbed,
                by_person=by_person,
                expires_at=self._clock.now() + CODE_SECONDS,
            )
        )
        return code

    async def redeem(
        self, code: str, owner: Owner, proposal: Proposal, *, by_person: bool, user_answered: bool = False
    ) -> None:
        """Use a code up for what it was given for.

        Args:
            code: as `ask` returned it.
            owner: who wants to use it.
            proposal: what would be done now.
            by_person: a person has to have approved it, as the policy is now.
            user_answered: the client's user gave the answer themselves.

        Raises:
            ConfirmationError: it does not confirm this; says why. Only one that was right is used up.

        """
        found = await self._store.get(hash_of(code))
        if found is None or (found.principal, found.conversation) != (owner.principal, owner.conversation):
            raise ConfirmationError("There is no such code in this conversation.", remedy=_ASK_ANEW)
        if found.used_at is not None:
            raise ConfirmationError("The code was used already.", remedy=_ASK_ANEW)
        if self._clock.now() >= found.expires_at:
            raise ConfirmationError(f"The code is older than {format_duration(CODE_SECONDS)}.", remedy=_ASK_ANEW)
        if found.digest != proposal.digest:
            news = "; ".join(changed_lines(found.plan, proposal.lines())) or "something that was there is gone"
            raise ConfirmationError(f"The plan is no longer what the code was given for: {news}.", remedy=_ASK_ANEW)
        if (by_person or found.by_person) and found.approved_at is None and not user_answered:
            raise ConfirmationError(
                "Nobody has approved it yet, and it concerns a protected testbed.",
                remedy=f"Ask the user to run: tp-mcp approve {code}. Then call again with the same code.",
            )
        if not await self._store.use(found.code_hash, self._clock.now()):
            raise ConfirmationError("The code was used already.", remedy=_ASK_ANEW)

    async def waiting(self, code: str) -> Confirmation:
        """Return a question that a person can approve now.

        Raises:
            ConfirmationError: there is none; says why.

        """
        found = await self._store.get(hash_of(code))
        if found is None or found.used_at is not None or self._clock.now() >= found.expires_at:
            raise ConfirmationError(
                "No question waits for this code: it is mistyped, used, or older than "
                f"{format_duration(CODE_SECONDS)}.",
                remedy="Let the assistant ask again.",
            )
        if found.approved_at is not None:
            raise ConfirmationError("It is approved already.", remedy="Let the assistant call again with the code.")
        return found

    async def approve(self, code: str) -> None:
        """Let a person approve a question.

        Raises:
            ConfirmationError: none waits for this code any more.

        """
        found = await self.waiting(code)
        if not await self._store.approve(found.code_hash, self._clock.now()):
            raise ConfirmationError("The question was answered meanwhile.", remedy="Let the assistant ask again.")


def hash_of(code: str) -> str:
    """Return how a code is kept."""
    return hashlib.sha256(code.strip().encode()).hexdigest()
