"""Ends of watches, until their conversation has seen them.

A showing is confirmed once its result was delivered and a later request of the same conversation began: a client that
dropped the result would hardly continue from it. An end counts as seen after two confirmed showings, or when a call
after a confirmed showing names its watch or its job.

Two chats may share a conversation's key. Then a showing may have gone to the other chat, so it counts only for a watch
that a call to this process has named; over stdio a process has one client. Naming a job counts then only if the watch
was made or named here and no other watch can have that job, such as an execution: the upgrade of a testbed may be the
other chat's.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tp_mcp.clock import Clock
from tp_mcp.watch.model.watch import InboxEntry, Owner

SHOWINGS_UNTIL_SEEN = 2
MAX_KNOWN = 10_000
"""Number of watches of shared keys that a process remembers as its own; other ends are shown longer."""


@dataclass(frozen=True, slots=True)
class LeastShown:
    """The first entries of an inbox, and the number of all."""

    entries: tuple[InboxEntry, ...]
    total: int


class InboxStore(Protocol):
    """Keeps inbox entries. Every method may raise StoreError."""

    async def unseen(self, owner: Owner) -> tuple[InboxEntry, ...]:
        """Return the entries that a conversation has not seen, oldest first."""
        ...

    async def unseen_of(
        self, owner: Owner, *, watch_ids: Collection[str], job: str | None = None
    ) -> tuple[InboxEntry, ...]:
        """Return the unseen entries of these watches or of that job."""
        ...

    async def least_shown(self, owner: Owner, *, but_for: Collection[str], limit: int) -> LeastShown:
        """Return the first unseen entries: the least shown first, and of those the newest."""
        ...

    async def count_showings(self, watch_ids: Sequence[str]) -> None:
        """Count one more confirmed showing of each entry."""
        ...

    async def mark_seen(self, watch_ids: Sequence[str], at: float) -> None:
        """Mark entries as seen."""
        ...


@dataclass(slots=True)
class Visit:
    """One request of a conversation, from its beginning to its result.

    `reported` are watches whose end is in the result itself, so that it is not appended. `refused` are those of them
    whose start was refused: no job runs, so one confirmed showing is enough.
    """

    owner: Owner
    reported: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)


class Inbox:
    """The unseen ends of watches, per conversation."""

    def __init__(self, *, store: InboxStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        # In memory on purpose: the last result of a process may not have been read, so its ends are shown again.
        self._unconfirmed: dict[Owner, dict[str, bool]] = {}  # with whether one confirmed showing is enough
        # Of shared keys, oldest first: watches that were made by a call here (False), or that one named (True).
        self._known: dict[str, bool] = {}
        self._shown_here: Counter[str] = Counter()  # of a shared key: confirmed showings by this process

    def made(self, owner: Owner, watch_id: str, *, named: bool = False) -> None:
        """Register a watch that a call of a conversation made; `named` if its result also shows the watch's state."""
        self._know(owner, [watch_id], named=named)

    async def begin(self, owner: Owner) -> Visit:
        """Register a request of a conversation, which confirms earlier showings."""
        handed_over = self._unconfirmed.pop(owner, None)
        if handed_over is not None:
            # A showing of another conversation's watch does not count for that conversation.
            shown = await self._unseen_of(owner, watch_ids=handed_over)
            if shown:
                await self._store.count_showings([entry.watch_id for entry in shown])
            self._shown_here.update(entry.watch_id for entry in shown if not entry.owner.exact)
            await self._see({entry.watch_id for entry in shown if handed_over[entry.watch_id] or self._suffices(entry)})
        return Visit(owner)

    async def name(
        self, visit: Visit, *, watch_ids: Collection[str] = (), job: str | None = None, job_is_one_watchs: bool = False
    ) -> None:
        """Register that a request names watches or a job: their ends count as seen if they were shown before.

        `job_is_one_watchs` says that no other start can have made that job.
        """
        self._know(visit.owner, watch_ids, named=True)
        named: set[str] = set()
        for entry in await self._unseen_of(visit.owner, watch_ids=watch_ids, job=job):
            shared = not entry.owner.exact
            by_job = entry.job == job and (not shared or (job_is_one_watchs and entry.watch_id in self._known))
            shown = self._shown_here[entry.watch_id] if shared else entry.showings
            if by_job and shared:
                self._known[entry.watch_id] = True
            if (by_job or entry.watch_id in watch_ids) and shown > 0:
                named.add(entry.watch_id)
        await self._see(named)

    async def to_show(self, visit: Visit) -> tuple[InboxEntry, ...]:
        """Return the ends to append to the visit's result: the least shown first, and of those the newest.

        A result has room for a few, and on a shared key old ends may stay unseen for long: a new one comes first.
        """
        unseen = await self._store.unseen(visit.owner)
        if visit.owner.shared is not None:
            unseen += await self._store.unseen(visit.owner.shared)
        return _in_order([entry for entry in unseen if entry.watch_id not in visit.reported])

    async def first_to_show(self, visit: Visit, limit: int) -> LeastShown:
        """Return the first ends to append to the visit's result, in the order of `to_show`, and the number of all."""
        own = await self._store.least_shown(visit.owner, but_for=visit.reported, limit=limit)
        if visit.owner.shared is None:
            return own
        shared = await self._store.least_shown(visit.owner.shared, but_for=visit.reported, limit=limit)
        return LeastShown(_in_order((*own.entries, *shared.entries))[:limit], own.total + shared.total)

    def handed_over(self, visit: Visit, watch_ids: Collection[str]) -> None:
        """Register that a result with these ends was delivered to the conversation."""
        shown = visit.reported.union(watch_ids)
        if shown:
            enough = {watch_id: watch_id in visit.refused for watch_id in shown}
            self._unconfirmed.setdefault(visit.owner, {}).update(enough)

    def _know(self, owner: Owner, watch_ids: Collection[str], *, named: bool) -> None:
        if owner.exact and owner.also is None:
            return
        self._known.update({watch_id: named or self._known.get(watch_id, False) for watch_id in watch_ids})
        while len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]

    def _suffices(self, entry: InboxEntry) -> bool:
        """Return whether an end counts as seen after the showing that was just confirmed."""
        if entry.owner.exact:
            return entry.showings + 1 >= SHOWINGS_UNTIL_SEEN
        return self._known.get(entry.watch_id, False) and self._shown_here[entry.watch_id] >= SHOWINGS_UNTIL_SEEN

    async def _unseen_of(
        self, owner: Owner, *, watch_ids: Collection[str], job: str | None = None
    ) -> tuple[InboxEntry, ...]:
        own = await self._store.unseen_of(owner, watch_ids=watch_ids, job=job)
        if owner.shared is None:
            return own
        return (*own, *await self._store.unseen_of(owner.shared, watch_ids=watch_ids, job=job))

    async def _see(self, watch_ids: set[str]) -> None:
        if watch_ids:
            await self._store.mark_seen(sorted(watch_ids), self._clock.now())
            for watch_id in watch_ids:
                self._known.pop(watch_id, None)
                self._shown_here.pop(watch_id, None)


def _in_order(entries: Collection[InboxEntry]) -> tuple[InboxEntry, ...]:
    return tuple(sorted(entries, key=lambda entry: (entry.showings, -entry.created_at)))
