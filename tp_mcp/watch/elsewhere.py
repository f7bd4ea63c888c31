"""What other processes write to a shared store, noticed while somebody here waits for it."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
from anyio.abc import TaskGroup

from tp_mcp.clock import Clock
from tp_mcp.errors import StoreError
from tp_mcp.watch.ports import Store
from tp_mcp.watch.states import Watch
from tp_mcp.watch.waiting import Changes

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.25


class Elsewhere:
    """Looks at the store for as long as somebody waits, and reads anew what is waited for when others wrote."""

    def __init__(
        self,
        *,
        store: Store,
        changes: Changes,
        clock: Clock,
        task_group: TaskGroup,
        on_written: Callable[[Watch], None],
    ) -> None:
        """Prepare; nothing is looked at while nobody waits.

        Args:
            store: what other processes write to.
            changes: knows what is waited for.
            clock: the time.
            task_group: where the looking goes on.
            on_written: told of each awaited watch that was written since the look before.

        """
        self._store = store
        self._changes = changes
        self._clock = clock
        self._task_group = task_group
        self._on_written = on_written
        self._waiting = 0
        self._scope = anyio.CancelScope()

    @contextmanager
    def looked_at(self) -> Iterator[None]:
        """Look while the caller waits; everyone who waits shares the looks."""
        self._waiting += 1
        if self._waiting == 1:
            self._scope = anyio.CancelScope()
            self._task_group.start_soon(self._look, self._scope)
        try:
            yield
        finally:
            self._waiting -= 1
            if self._waiting == 0:
                self._scope.cancel()

    async def _look(self, scope: anyio.CancelScope) -> None:
        version: int | None = None
        known: dict[str, int] = {}
        with scope:
            while True:
                await self._clock.sleep(LOOK_SECONDS)
                try:
                    before, version = version, await self._store.version()
                    awaited = self._changes.awaited()
                    if version == before and awaited <= known.keys():
                        continue
                    watches = await self._store.get_many(sorted(awaited))
                except StoreError as error:
                    version = None
                    logger.info("The store could not be looked at: %s", error)
                    continue
                for watch in watches:
                    # Who waits has read the watch when the wait began; at the first look only an end is news.
                    if watch.state.ended or known.get(watch.id, watch.revision) != watch.revision:
                        self._on_written(watch)
                known = {watch.id: watch.revision for watch in watches}
