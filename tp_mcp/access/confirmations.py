"""Changes that wait for a yes: how each is described, and the confirmation that one answer can use once."""

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from tp_mcp.access.policy import Action
from tp_mcp.clock import Clock
from tp_mcp.errors import ConfirmationError
from tp_mcp.results.text import format_duration
from tp_mcp.watch.model.watch import Owner


@dataclass(frozen=True, slots=True)
class Proposal:
    """The effect of a call, as far as it is known in advance.

    Attributes:
        arguments: its arguments as JSON, secrets masked.
        what: the change in words, as `upgrade of AT16_Combined_FSW to build 6957`.
        devices: names and addresses of what is changed.
        running: what runs there now, as `build 6950`; empty where TP does not tell.
        target: what will run there, likewise.
        lab_status: how TP calls the lab's state; empty where it does not tell.
        users: who else may use the lab.
        executions: ids of executions that go on there.
        watches: what else is watched there, in words.
        chain: the steps that follow, in words.
    """

    action: Action
    tool: str
    arguments: str
    testbed: str
    what: str
    devices: tuple[str, ...] = ()
    running: str = ""
    target: str = ""
    lab_status: str = ""
    users: tuple[str, ...] = ()
    executions: tuple[int, ...] = ()
    watches: tuple[str, ...] = ()
    chain: tuple[str, ...] = ()

    def lines(self) -> tuple[str, ...]:
        """Return the plan as lines that a person reads before they say yes."""
        change = f"{self.running or 'unknown'} -> {self.target}" if self.target else self.running
        facts = (
            ("Testbed", self.testbed + (f" ({self.lab_status})" if self.lab_status else "")),
            ("Devices", _listed(self.devices)),
            ("Build", change),
            ("Arguments", self.arguments),
            ("May also be used by", _listed(self.users)),
            ("Executions going on there", _listed([str(exec_id) for exec_id in self.executions]) or "none known"),
            ("Also watched there", _listed(self.watches)),
            ("Then", "; ".join(self.chain)),
        )
        return (f"{self.what[:1].upper()}{self.what[1:]}.", *(f"{name}: {value}" for name, value in facts if value))

    @property
    def digest(self) -> str:
        """Return what two proposals share only if they say the same."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


LISTED_AT_MOST = 10


def _listed(values: Sequence[str]) -> str:
    more = len(values) - LISTED_AT_MOST
    return ", ".join(values[:LISTED_AT_MOST]) + (f" and {more} more" if more > 0 else "")


def changed_lines(before: Sequence[str], after: Sequence[str]) -> tuple[str, ...]:
    """Return the lines of a plan that are not as they were."""
    return tuple(line for line in after if line not in set(before))


CODE_SECONDS = 300.0
"""How long a code can be used."""

CODE_BYTES = 6
_ASK_AGAIN = "Call again without confirm: the plan is shown again, with a new code."


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A question, and what became of it.

    Attributes:
        code_hash: SHA-256 of its code; the code itself is not kept.
        digest: of the proposal that it is about.
        plan: the proposal's lines, as they were shown.
        by_person: it counts only once a person has approved it.
        expires_at: seconds since the epoch.
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

    async def get(self, code_hash: str) -> Confirmation | None:
        """Return one."""

    async def approve(self, code_hash: str, at: float) -> bool:
        """Write that a person approved it; False where it was approved, used or expired by then."""

    async def use(self, code_hash: str, at: float) -> bool:
        """Mark the code as used; False if it was used or has expired. Of two callers at once, one gets True."""


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
        """Redeem a code for its plan.

        Args:
            by_person: a person has to have approved it, as the policy is now.
            user_answered: the client's user gave the answer themselves.

        Raises:
            ConfirmationError: it does not confirm this; says why. Only one that was right is used up.
        """
        found = await self._store.get(hash_of(code))
        if found is None or (found.principal, found.conversation) != (owner.principal, owner.conversation):
            raise ConfirmationError("There is no such code in this conversation.", remedy=_ASK_AGAIN)
        if found.used_at is not None:
            raise ConfirmationError("The code was used already.", remedy=_ASK_AGAIN)
        if self._clock.now() >= found.expires_at:
            raise ConfirmationError(f"The code is older than {format_duration(CODE_SECONDS)}.", remedy=_ASK_AGAIN)
        if found.digest != proposal.digest:
            news = "; ".join(changed_lines(found.plan, proposal.lines())) or "something that was there is gone"
            raise ConfirmationError(f"The plan is no longer what the code was given for: {news}.", remedy=_ASK_AGAIN)
        if (by_person or found.by_person) and found.approved_at is None and not user_answered:
            raise ConfirmationError(
                "Nobody has approved it yet, and it concerns a protected testbed.",
                remedy=f"Ask the user to run: tp-mcp approve {code}. Then call again with the same code.",
            )
        if not await self._store.use(found.code_hash, self._clock.now()):
            raise ConfirmationError("The code was used already.", remedy=_ASK_AGAIN)

    async def waiting(self, code: str) -> Confirmation:
        """Return a question that a person can approve now; raise ConfirmationError with the reason if there is none."""
        found = await self._store.get(hash_of(code))
        if found is None or found.used_at is not None or self._clock.now() >= found.expires_at:
            raise ConfirmationError(
                "No question waits for this code: it is mistyped, used, or older than "
                f"{format_duration(CODE_SECONDS)}.",
                remedy="Have the assistant ask again.",
            )
        if found.approved_at is not None:
            raise ConfirmationError(
                "The plan is already approved.", remedy="Have the assistant call again with the code."
            )
        return found

    async def approve(self, code: str) -> None:
        """Record a person's approval of a question; raise ConfirmationError if none waits for this code any more."""
        found = await self.waiting(code)
        if not await self._store.approve(found.code_hash, self._clock.now()):
            raise ConfirmationError("The question has already been answered.", remedy="Have the assistant ask again.")


def hash_of(code: str) -> str:
    """Return how a code is kept."""
    return hashlib.sha256(code.strip().encode()).hexdigest()
