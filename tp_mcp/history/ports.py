"""What keeps the history. The composition root fills it in."""

from collections.abc import Collection
from typing import Protocol

from tp_mcp.history.records import Note, Run, Upgrade
from tp_mcp.triage.past import PastExecution


class History(Protocol):
    """Keeps outcomes, upgrades, notes and reruns. Every method may raise StoreError."""

    async def add(self, run: Run, principal: str) -> None:
        """Keep what an execution came to, once, however often it is told; let a principal see it."""
        ...

    async def known(self, server: str, exec_ids: Collection[int], principal: str) -> frozenset[int]:
        """Return those executions that are kept and that the principal may see."""
        ...

    async def earlier(
        self, server: str, lab: str, *, before: int, principal: str, limit: int
    ) -> tuple[PastExecution, ...]:
        """Return a lab's executions with a lower number than `before` that a principal may see, the latest first."""
        ...

    async def one(self, server: str, exec_id: int, principal: str) -> PastExecution | None:
        """Return one execution; None where it is not kept, or the principal may not see it."""
        ...

    async def add_upgrade(self, upgrade: Upgrade) -> None:
        """Keep that a testbed was upgraded; of one that is kept already the build is filled in."""
        ...

    async def build_at(self, server: str, testbed: str, at: float) -> str:
        """Return the build that ran on a testbed at a time; empty where it is not known."""
        ...

    async def note(self, note: Note) -> None:
        """Keep a note, in place of the principal's earlier one on the same signature.

        Raises:
            InputError: the principal has too many.

        """
        ...

    async def forget_note(self, principal: str, server: str, signature: str) -> bool:
        """Drop a note; return whether there was one."""
        ...

    async def notes(self, principal: str, server: str) -> tuple[Note, ...]:
        """Return a principal's notes, the newest first."""
        ...

    async def add_rerun(self, server: str, watch_id: str, of: int, *, now: float) -> None:
        """Keep that a watched run repeats tests of an execution."""
        ...

    async def rerun_of(self, server: str, watch_id: str) -> int | None:
        """Return the execution that a watched run repeats tests of."""
        ...

    async def close(self) -> None:
        """Close it; it cannot be used afterwards."""
        ...
