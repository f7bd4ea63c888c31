"""The store, as watches need it: one transaction for a watch, its inbox entry, leases and deliveries."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from tp_mcp.watch.delivery.delivery_log import DeliveryStore
from tp_mcp.watch.delivery.inbox import InboxStore
from tp_mcp.watch.model.usual_duration import Usual
from tp_mcp.watch.model.watch import InboxEntry, Owner, Watch, WatchState
from tp_mcp.watch.polling.lease_holder import LeaseStore


class Store(InboxStore, LeaseStore, DeliveryStore, Protocol):
    """Keeps watches and what belongs to them. Every method may raise StoreError."""

    async def add(self, watch: Watch, entry: InboxEntry | None = None) -> Watch | None:
        """Write a new watch, unless the same call was made already; both in one transaction.

        Args:
            watch: what is written.
            entry: of its end, where it has ended already; written in the same transaction.

        Returns:
            None when it was written; else the watch that the same call made, and nothing was written.

        Raises:
            WatchError: it is a step of a chain that has begun already.
            WatchLimitError: the owner's principal has too many watches or unseen ends already.

        """
        ...

    async def save(self, watch: Watch, entry: InboxEntry | None = None, *, epoch: int | None = None) -> Watch | None:
        """Write a watch, and the entry of its end, in one transaction; with an end also how long its job took.

        Args:
            watch: what to write.
            entry: the entry of its end.
            epoch: of the lease under which it was polled; None where it does not come of a poll.

        Returns:
            The watch with its new revision; None where somebody else wrote it meanwhile, or the lease is no more, and
            nothing was written.

        """
        ...

    async def save_all(self, watches: Sequence[Watch]) -> tuple[Watch | None, ...]:
        """Write several watches in one transaction; each as `save` would."""
        ...

    async def get(self, watch_id: str) -> Watch | None:
        """Return one watch."""
        ...

    async def repeated(self, owner: Owner, *, server: str, key: str, now: float) -> Watch | None:
        """Return the newest watch that the same call made, for the same principal, conversation and TP.

        It has not ended, or ended less than `REPEAT_SECONDS` ago; was not cancelled; and its start was not refused. A
        start of which it never became known whether TP has its job counts like one that it has.
        """
        ...

    async def usual(self, server: str, groups: Sequence[str]) -> Usual | None:
        """Return how long jobs of the first group take that has enough ends on this TP, whoever's they were."""
        ...

    async def get_many(self, watch_ids: Sequence[str]) -> tuple[Watch, ...]:
        """Return those of several watches that there are."""
        ...

    async def unended_revisions(self, server: str) -> Mapping[str, int]:
        """Return the watches of one TP that have not ended, each id with its revision."""
        ...

    async def ends_after(self, cursor: int | None) -> tuple[int, tuple[str, ...]]:
        """Return the ids of watches whose ends were written after a cursor, and the cursor to go on from.

        It may be a part of them. Without a cursor there are no ids: there is nothing that they would come after.
        """
        ...

    async def version(self) -> int:
        """Return a number that differs from the one before if another process wrote in between."""
        ...

    async def amend(self, watch_id: str, brief: str) -> Watch | None:
        """Add what a report says to an ended watch, and to its entry; return the watch, None where there is none."""
        ...

    async def ended_since(self, server: str, *, since: float, limit: int) -> tuple[Watch, ...]:
        """Return the newest watches of one TP that ended since a time, the newest first."""
        ...

    async def unended(self, server: str | None) -> tuple[Watch, ...]:
        """Return the watches of one TP, or of all, that have not ended, oldest first."""
        ...

    async def pending(self, server: str) -> tuple[Watch, ...]:
        """Return the ended watches of one TP whose next step has not begun, in the order of their ends."""
        ...

    async def jobs_started(self, server: str, *, since: float, but_for: str) -> frozenset[str]:
        """Return the jobs that TP accepted for other watches than `but_for` since a time."""
        ...

    async def of_owner(
        self,
        principal: str,
        *,
        conversation: str | None,
        states: Sequence[WatchState],
        limit: int,
        about: str | None = None,
    ) -> tuple[Watch, ...]:
        """Return a principal's watches, newest first; of one conversation, or of all when it is None.

        With `about` only those whose job it is, which are on that testbed, or whose chain has a step of that id.
        """
        ...

    async def purge(self, *, ended_before: float, unseen_before: float) -> int:
        """Drop ended watches whose end was seen, and ends that nobody came for; return how many."""
        ...

    async def conversations(self, principal: str) -> tuple[Owner, ...]:
        """Return the conversations of a principal that have a watch, the newest first."""
        ...

    async def entries(self, watch_ids: Sequence[str]) -> tuple[InboxEntry, ...]:
        """Return the ends of some watches, seen or not."""
        ...

    async def hand_over(self, watch_id: str, to: Owner) -> Watch | None:
        """Move a watch of `to`'s principal to that conversation, and its end with it unless that was seen.

        Returns:
            The watch as it stands then; None where the principal has none with this id.

        """
        ...

    async def leave(self, prefix: str, *, but_for: Collection[str], to_key: str) -> int:
        """Move the watches of every conversation whose key begins with `prefix` to a shared key of their principals.

        Args:
            prefix: of the keys.
            but_for: keys whose watches stay.
            to_key: the shared key.

        Returns:
            How many watches were moved.

        """
        ...

    async def close(self) -> None:
        """Close the store; it cannot be used afterwards."""
        ...
