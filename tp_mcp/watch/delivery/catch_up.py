"""Catching up after a start: the first call of a conversation waits briefly for the first polls.

The watches of an earlier process are polled within a second of a start. A call that comes sooner waits for that, once
per conversation, so that its result has the ends that nobody has observed yet.
"""

from contextlib import suppress

import anyio

from tp_mcp.clock import Clock
from tp_mcp.errors import StoreError, WatchNotFoundError
from tp_mcp.watch.delivery.change_feed import ChangeFeed
from tp_mcp.watch.model.watch import Owner, WatchState
from tp_mcp.watch.registry import WatchRegistry

CATCH_UP_SECONDS = 1.5
"""Longest wait of a call."""

FRESH_SECONDS = 5.0
"""Time after a start during which a call may have something to wait for."""


class CatchingUp:
    """Waits for the first polls of the watches of an earlier process."""

    def __init__(self, *, registry: WatchRegistry, feed: ChangeFeed, clock: Clock) -> None:
        self._registry = registry
        self._feed = feed
        self._clock = clock
        self._opened_at = clock.now()
        self._waited: set[Owner] = set()

    async def wait_for(self, owner: Owner) -> None:
        """Wait up to `CATCH_UP_SECONDS` for the first polls of a conversation's old watches; may raise StoreError."""
        if owner in self._waited or self._clock.now() - self._opened_at > FRESH_SECONDS:
            return
        self._waited.add(owner)
        states = (WatchState.STARTING, WatchState.ACTIVE)
        left = await self._registry.list(owner, all_conversations=False, states=states)
        async with anyio.create_task_group() as tasks:
            for watch in left:
                if watch.created_at < self._opened_at and self._registry.looks_at(watch):
                    tasks.start_soon(self._first_poll, watch.id, owner)

    async def _first_poll(self, watch_id: str, owner: Owner) -> None:
        # A watch that cannot be read is not waited for.
        until = self._clock.now() + CATCH_UP_SECONDS
        with suppress(StoreError, WatchNotFoundError):
            while (left := until - self._clock.now()) > 0:
                with self._feed.changes_of(watch_id) as change:
                    watch = await self._registry.get(watch_id, owner)
                    if watch.state.ended or (watch.polled_at or 0.0) >= self._opened_at:
                        return
                    await change.wait(left, self._clock)
