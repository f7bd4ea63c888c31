"""Ends that wait to be seen.

A showing is sure once the result that carried it was handed over and a later request of the same conversation began:
a client that dropped the result would not have gone on from it. An end counts as seen after two sure showings, after
one in the result of a call that named its watch or its job, or when a call made after a showing names it. Where two
chats may share a conversation's key only naming counts, because another showing may have gone to the other chat.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from tp_mcp.clock import Clock
from tp_mcp.watch.owner import Owner
from tp_mcp.watch.ports import LeastShown, Store
from tp_mcp.watch.states import InboxEntry

SHOWINGS_UNTIL_SEEN = 2


@dataclass(slots=True)
class Visit:
    """One request of a conversation, from its beginning to its result.

    Attributes:
        owner: whose request it is.
        named: watches that the request names, itself or by their job.
        reported: watches whose end the result itself tells, so that they need not be appended to it.

    """

    owner: Owner
    named: set[str] = field(default_factory=set)
    reported: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Unconfirmed:
    """Ends that were handed over, and that no later request has confirmed yet."""

    shown: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)


class Inbox:
    """The ends of watches, per conversation, until they are seen."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        # They die with the process on purpose: what it wrote last may never have been read, so it is shown once more.
        self._unconfirmed: dict[Owner, _Unconfirmed] = {}

    async def begin(self, owner: Owner) -> Visit:
        """Take in that a conversation makes a request: what it was shown before, it surely has."""
        unconfirmed = self._unconfirmed.pop(owner, None)
        if unconfirmed is not None:
            # A conversation that looked at another one's watch has not seen it for that one.
            shown = await self._store.unseen_of(owner, watch_ids=unconfirmed.shown)
            if shown:
                await self._store.count_showings([entry.watch_id for entry in shown])
            await self._see(
                {
                    entry.watch_id
                    for entry in shown
                    if entry.watch_id in unconfirmed.named
                    or (owner.exact and entry.showings + 1 >= SHOWINGS_UNTIL_SEEN)
                }
            )
        return Visit(owner)

    async def name(self, visit: Visit, *, watch_ids: Collection[str] = (), job: str | None = None) -> None:
        """Take in that a request names watches, or a job: their ends count as seen if they were shown before."""
        visit.named.update(watch_ids)
        named = await self._store.unseen_of(visit.owner, watch_ids=watch_ids, job=job)
        visit.named.update(entry.watch_id for entry in named)
        await self._see({entry.watch_id for entry in named if entry.showings > 0})

    async def to_show(self, visit: Visit) -> tuple[InboxEntry, ...]:
        """Return the ends to append to the visit's result: the least shown first, of those the newest.

        A result has room for a few only, and on a shared key old ends may stay unseen for long: a new one comes first.
        """
        waiting = [entry for entry in await self._store.unseen(visit.owner) if entry.watch_id not in visit.reported]
        return tuple(sorted(waiting, key=lambda entry: (entry.showings, -entry.created_at)))

    async def first_to_show(self, visit: Visit, limit: int) -> LeastShown:
        """Return the first of the ends to append to the visit's result, as `to_show` orders them, and their number."""
        return await self._store.least_shown(visit.owner, but_for=visit.reported, limit=limit)

    def handed_over(self, visit: Visit, watch_ids: Collection[str]) -> None:
        """Take in that a result with these ends was handed over to the conversation."""
        shown = visit.reported.union(watch_ids)
        if shown:
            unconfirmed = self._unconfirmed.setdefault(visit.owner, _Unconfirmed())
            unconfirmed.shown |= shown
            unconfirmed.named |= shown & visit.named

    async def _see(self, watch_ids: set[str]) -> None:
        if watch_ids:
            await self._store.mark_seen(sorted(watch_ids), self._clock.now())
