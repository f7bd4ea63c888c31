"""A conversation that comes back right after a start is told first what ended while nobody looked.

What an earlier process left is polled within a second of a start. A call that comes before that waits for it, briefly
and once, so that its result has the ends that were waiting to be found.
"""

from contextlib import suppress

import anyio

from tp_mcp.clock import Clock
from tp_mcp.errors import StoreError, WatchNotFoundError
from tp_mcp.watch.delivery.change_events import Changes
from tp_mcp.watch.model.watch import Owner, WatchState
from tp_mcp.watch.registry import WatchRegistry

CATCH_UP_SECONDS = 1.5
"""How long a call waits at most."""

FRESH_SECONDS = 5.0
"""How long after a start a call may have something to wait for."""


class CatchingUp:
    """Waits for the first polls of what an earlier process left."""

    def __init__(self, *, registry: WatchRegistry, changes: Changes, clock: Clock) -> None:
        self._registry = registry
        self._changes = changes
        self._clock = clock
        self._opened_at = clock.now()
        self._waited: set[Owner] = set()

    async def wait_for(self, owner: Owner) -> None:
        """Return once the watches that a conversation had before this process were polled, or after a short while.

        Raises:
            StoreError: they cannot be read.

        """
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
        # Where it cannot be read, there is nothing to wait for.
        until = self._clock.now() + CATCH_UP_SECONDS
        with suppress(StoreError, WatchNotFoundError):
            while (left := until - self._clock.now()) > 0:
                with self._changes.of(watch_id) as changed:
                    stands = await self._registry.get(watch_id, owner)
                    if stands.state.ended or (stands.polled_at or 0.0) >= self._opened_at:
                        return
                    await changed.wait(left, self._clock)
