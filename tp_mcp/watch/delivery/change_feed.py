"""What happens to watches, told to whoever passes it on: here at once, elsewhere by looking at the store."""

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import anyio
from anyio.abc import TaskGroup

from tp_mcp.clock import Clock
from tp_mcp.errors import StoreError
from tp_mcp.watch.delivery import messages
from tp_mcp.watch.delivery.change_events import Changes
from tp_mcp.watch.model.watch import Watch, WatchState
from tp_mcp.watch.store import Store

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often the store is looked at for what other processes wrote; a look that finds nothing costs a tenth of a ms."""


class News:
    """Tells listeners of each watch that changed. A watch may be told more than once, and as it was before."""

    def __init__(self, *, store: Store, changes: Changes, clock: Clock, on_written: Callable[[Watch], None]) -> None:
        """Prepare; what other processes write is told only while `look` runs.

        Args:
            store: what other processes write to.
            changes: told of what happens here.
            clock: the time.
            on_written: told of each watch that another process wrote, and passes it on to `changes`.

        """
        self._store = store
        self._changes = changes
        self._clock = clock
        self._on_written = on_written

    def listen(self, listener: Callable[[Watch], None]) -> Callable[[], None]:
        """Call `listener` with each watch that changes; return what ends it. It must neither raise nor wait."""
        return self._changes.listen(listener)

    async def look(self, wanted: Callable[[], Collection[str] | None]) -> None:
        """Notice what other processes write, until it is cancelled.

        Args:
            wanted: the ids of the watches whose every change is wanted, besides every end; None while nothing is.

        """
        version: int | None = None
        cursor: int | None = None
        known: dict[str, int] = {}
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            watched = wanted()
            if watched is None:
                # What ended before anybody wanted to be told is no news.
                cursor = None
                continue
            try:
                before, version = version, await self._store.version()
                if version == before and cursor is not None:
                    continue
                cursor, ended = await self._store.ends_after(cursor)
                watches = await self._store.get_many(sorted({*watched, *ended}))
            except StoreError as error:
                version = None
                logger.info("The store could not be looked at: %s", error)
                continue
            if ended:
                # There may be more than one look returns.
                version = None
            for watch in watches:
                if known.get(watch.id) != watch.revision:
                    self._on_written(watch)
            known = {watch.id: watch.revision for watch in watches}


def is_news(watch: Watch) -> bool:
    """Return whether an end is news to its conversation.

    It is none where the conversation cancelled the watch, or was refused its start: it was told so by that call.
    """
    if watch.state is WatchState.CANCELLED:
        return False
    by_a_call = watch.chain is None or watch.chain.parent is None
    return not (by_a_call and messages.never_started(watch) and watch.outcome is None)


AWAITED_LOOK_SECONDS = 0.25


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
                await self._clock.sleep(AWAITED_LOOK_SECONDS)
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
