"""The port of the store: watches, with their inbox entries, leases and deliveries."""

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
        """Save a new watch, unless the same call was made already; the check and the write are one transaction.

        The entry of its end, if it has ended already, is saved in the same transaction. Returns None if it was saved;
        else the watch of the same call, and nothing was saved.

        Raises:
            WatchError: it is a chain step that has begun already.
            WatchLimitError: the owner's principal has too many watches or unseen ends already.
        """
        ...

    async def save(self, watch: Watch, entry: InboxEntry | None = None, *, epoch: int | None = None) -> Watch | None:
        """Save a watch, the entry of its end, and the duration of its job, in one transaction.

        `epoch` is that of the lease under which it was polled; None if it was not polled. Returns the watch with its
        new revision; None if nothing was saved, because somebody else saved it first or the lease has expired.
        """
        ...

    async def save_all(self, watches: Sequence[Watch]) -> tuple[Watch | None, ...]:
        """Save several watches in one transaction, each as `save` does."""
        ...

    async def get(self, watch_id: str) -> Watch | None:
        """Return one watch."""
        ...

    async def repeated(self, owner: Owner, *, server: str, key: str, now: float) -> Watch | None:
        """Return the newest watch of the same call, for the same principal, conversation and TP.

        It has not ended, or ended less than `REPEAT_SECONDS` ago; was not cancelled; and its start was not refused. An
        unsettled start counts like an accepted one.
        """
        ...

    async def usual(self, server: str, groups: Sequence[str]) -> Usual | None:
        """Return the usual duration of the first group that has enough past jobs on this TP, of any principal."""
        ...

    async def get_many(self, watch_ids: Sequence[str]) -> tuple[Watch, ...]:
        """Return those of several watches that exist."""
        ...

    async def unended_revisions(self, server: str) -> Mapping[str, int]:
        """Return the watches of one TP that have not ended, each id with its revision."""
        ...

    async def ends_after(self, cursor: int | None) -> tuple[int, tuple[str, ...]]:
        """Return the ids of watches whose ends were saved after a cursor, and the next cursor.

        One call may return only some of them. Without a cursor it returns no ids, and the present cursor.
        """
        ...

    async def version(self) -> int:
        """Return a number that differs from the previous one if another process wrote in between."""
        ...

    async def amend(self, watch_id: str, brief: str) -> Watch | None:
        """Add the summary of a report to an ended watch and its entry; return the watch, None if there is none."""
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
        """Return a principal's watches, newest first; of one conversation, or of all if it is None.

        `about` selects those of a job, of a testbed, or with a chain step of an id.
        """
        ...

    async def purge(self, *, ended_before: float, unseen_before: float) -> int:
        """Drop old watches whose end was seen, and very old ones whose end was not; return their number."""
        ...

    async def conversations(self, principal: str) -> tuple[Owner, ...]:
        """Return the conversations of a principal that have a watch, the newest first."""
        ...

    async def entries(self, watch_ids: Sequence[str]) -> tuple[InboxEntry, ...]:
        """Return the ends of some watches, seen or not."""
        ...

    async def hand_over(self, watch_id: str, to: Owner) -> Watch | None:
        """Move a watch of `to`'s principal to that conversation, and its end with it unless that was seen.

        Returns the watch afterwards; None if the principal has none with this id.
        """
        ...

    async def leave(self, prefix: str, *, but_for: Collection[str], to_key: str) -> int:
        """Move the watches of conversations whose key begins with `prefix` to a shared key of their principals.

        The watches of `but_for` stay. Returns the number of moved watches.
        """
        ...

    async def close(self) -> None:
        """Close the store; it cannot be used afterwards."""
        ...
