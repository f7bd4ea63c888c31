"""Changes of watches: published here at once, and found in the store where another process saved them.

Calls that wait, clients that subscribe, and the heartbeat of the leases share one feed, and with it one look at the
store's version.
"""

import logging
from collections.abc import Callable, Collection, Hashable, Iterator
from contextlib import contextmanager

import anyio
from anyio.abc import TaskGroup

from tp_mcp.clock import Clock
from tp_mcp.errors import StoreError
from tp_mcp.watch.delivery import messages
from tp_mcp.watch.model.watch import Watch, WatchState
from tp_mcp.watch.store import Store

logger = logging.getLogger(__name__)

WAITING_SECONDS = 0.25
"""Time between two looks at the store while a call waits."""

SUBSCRIBED_SECONDS = 1.0
"""The same while only clients subscribe; a look without news costs a tenth of a millisecond."""

_MISSING = -1
"""The revision of a watch that is not in the store."""


class Change:
    """An event: one of some watches changed. `ended` has those that ended while somebody waited, by id.

    An end is published once saved, so it is final.
    """

    def __init__(self) -> None:
        self._event = anyio.Event()
        self._is_awaited = False
        self.ended: dict[str, Watch] = {}

    def happened(self, watch: Watch | None = None) -> None:
        """Wake the waiter; `watch` is the watch that changed."""
        if watch is not None and watch.state.ended and self._is_awaited:
            self.ended[watch.id] = watch
        self._event.set()

    async def wait(self, seconds: float, clock: Clock) -> None:
        """Return when it happened, or after `seconds`."""

        async def end_in_time() -> None:
            await clock.sleep(seconds)
            self._event.set()

        # An end published before the wait may have been added to since, e.g. a summary of its report.
        self._is_awaited = not self._event.is_set()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(end_in_time)
            await self._event.wait()
            tasks.cancel_scope.cancel()


class ChangeFeed:
    """Passes changes of watches on to waiting calls and to listeners.

    The store is looked at only while a call waits or a client subscribes; otherwise the heartbeat of the leases asks
    for `foreign_writes` itself. A watch may be published more than once, and in an earlier state. `on_foreign_write`
    gets each watch that another process saved, and has to publish it in the end.
    """

    def __init__(self, *, store: Store, clock: Clock, task_group: TaskGroup) -> None:
        self._store = store
        self._clock = clock
        self._task_group = task_group
        self.on_foreign_write: Callable[[Watch], None] = self.publish
        self._changes_of: dict[str, set[Change]] = {}
        self._listeners: dict[object, Callable[[Watch], None]] = {}
        self._subscriptions: dict[object, Callable[[], Collection[str] | None]] = {}
        self._waiting = 0
        self._current_pace: float | None = None
        self._pace_changed = Change()
        self._is_looking = False
        self._version: int | None = None
        self._foreign_writes = 0

    def publish(self, watch: Watch) -> None:
        """Wake the calls that wait for a watch, and pass it to every listener."""
        for change in self._changes_of.get(watch.id, ()):
            change.happened(watch)
        for listener in tuple(self._listeners.values()):
            listener(watch)

    def listen(
        self,
        listener: Callable[[Watch], None],
        subscribed: Callable[[], Collection[str] | None] | None = None,
    ) -> Callable[[], None]:
        """Call a listener with each changed watch, until the returned function is called; it must not raise or block.

        With `subscribed`, ends that other processes save are published too, and every change of the watches whose ids
        it returns; None pauses that.
        """
        key = object()
        self._listeners[key] = listener
        if subscribed is not None:
            self._subscriptions[key] = subscribed
            self._adjust_pace()

        def stop() -> None:
            self._listeners.pop(key, None)
            self._subscriptions.pop(key, None)
            self._adjust_pace()

        return stop

    @contextmanager
    def changes_of(self, *watch_ids: str) -> Iterator[Change]:
        """Provide the next change of any of some watches; one that happens before the wait begins is not missed."""
        change = Change()
        for watch_id in watch_ids:
            self._changes_of.setdefault(watch_id, set()).add(change)
        try:
            yield change
        finally:
            for watch_id in watch_ids:
                changes = self._changes_of[watch_id]
                changes.discard(change)
                if not changes:
                    del self._changes_of[watch_id]

    async def wait(self, change: Change, seconds: float) -> None:
        """Return when a change happened, here or in another process, or after `seconds`."""
        self._waiting += 1
        self._adjust_pace()
        try:
            await change.wait(seconds, self._clock)
        finally:
            self._waiting -= 1
            self._adjust_pace()

    async def foreign_writes(self) -> int:
        """Return a number that has grown if another process wrote since the previous call; may raise StoreError."""
        version = await self._store.version()
        if version != self._version:
            self._version = version
            self._foreign_writes += 1
        return self._foreign_writes

    def _pace(self) -> float | None:
        if self._waiting:
            return WAITING_SECONDS
        return SUBSCRIBED_SECONDS if self._subscriptions else None

    def _adjust_pace(self) -> None:
        if self._pace() == self._current_pace:
            return
        self._pace_changed.happened()
        if not self._is_looking:
            self._is_looking = True
            self._task_group.start_soon(self._keep_looking)

    async def _keep_looking(self) -> None:
        """Look at the store until nobody waits or subscribes any more."""
        look = _Look(self._store, self)
        looked_at = self._clock.now()
        try:
            while (pace := self._pace()) is not None:
                self._current_pace, self._pace_changed = pace, Change()
                left = min(pace, looked_at + pace - self._clock.now())
                if left > 0:
                    await self._pace_changed.wait(left, self._clock)
                    continue
                looked_at = self._clock.now()
                await look.publish_foreign_writes(self._changes_of.keys() if self._waiting else (), self._subscribed())
        finally:
            self._is_looking, self._current_pace = False, None

    def _subscribed(self) -> set[str] | None:
        """Return the watches whose every change is wanted; None while nobody subscribes."""
        wanted = [ids for subscription in self._subscriptions.values() if (ids := subscription()) is not None]
        return set[str]().union(*wanted) if wanted else None


class _Look:
    """The state between two looks at the store."""

    def __init__(self, store: Store, feed: ChangeFeed) -> None:
        self._store = store
        self._feed = feed
        self._seen_writes: int | None = None
        self._cursor: int | None = None
        self._revisions: dict[str, int] = {}

    async def publish_foreign_writes(self, awaited: Collection[str], subscribed: Collection[str] | None) -> None:
        """Publish the watches that other processes saved since the previous look."""
        if subscribed is None:
            # An end from before the subscription is no news.
            self._cursor = None
            if not awaited:
                return
        wanted = {*awaited, *(subscribed or ())}
        ended: tuple[str, ...] = ()
        try:
            writes = await self._feed.foreign_writes()
            is_complete = wanted <= self._revisions.keys() and (subscribed is None or self._cursor is not None)
            if writes == self._seen_writes and is_complete:
                return
            if subscribed is not None:
                self._cursor, ended = await self._store.ends_after(self._cursor)
            watches = await self._store.get_many(sorted({*wanted, *ended}))
        except StoreError as error:
            self._seen_writes = None
            logger.info("The store could not be looked at: %s", error)
            return
        # One call returns only some of many ends: where there were any, the next look asks for more.
        self._seen_writes = None if ended else writes
        before, self._revisions = self._revisions, dict.fromkeys(wanted, _MISSING)
        for watch in watches:
            self._revisions[watch.id] = watch.revision
            # A call that waits has just read its watch: at the first look only an end is news for it.
            is_first = watch.id not in before and watch.id not in (subscribed or ())
            if before.get(watch.id) != watch.revision and (watch.state.ended or not is_first):
                self._feed.on_foreign_write(watch)


def is_news(watch: Watch) -> bool:
    """Return whether an end is news to its conversation.

    It is not if the conversation cancelled the watch, or was refused its start: that call returned it.
    """
    if watch.state is WatchState.CANCELLED:
        return False
    by_a_call = watch.chain is None or watch.chain.parent is None
    return not (by_a_call and messages.never_started(watch) and watch.outcome is None)


class Throttle:
    """Limits how often a change of appearance is passed on: at once, or `seconds` after the previous time."""

    def __init__(self, *, seconds: float, clock: Clock, tasks: TaskGroup) -> None:
        self._seconds = seconds
        self._clock = clock
        self._tasks = tasks
        self._passed_at: dict[str, float] = {}
        self._appearances: dict[str, Hashable] = {}
        self._pending: dict[str, Callable[[], object]] = {}

    def offer(self, key: str, appearance: Hashable, pass_on: Callable[[], object]) -> None:
        """Call `pass_on`, now or soon, if the appearance differs from the previous one."""
        if self._appearances.get(key) == appearance:
            return
        self._appearances[key] = appearance
        wait = self._passed_at.get(key, 0.0) + self._seconds - self._clock.now()
        if wait <= 0:
            self._passed_at[key] = self._clock.now()
            pass_on()
            return
        if key not in self._pending:
            self._tasks.start_soon(self._later, key, wait)
        self._pending[key] = pass_on

    def forget(self, key: str) -> None:
        """Pass on nothing more for a key."""
        self._appearances.pop(key, None)
        self._passed_at.pop(key, None)
        self._pending.pop(key, None)

    async def _later(self, key: str, wait: float) -> None:
        await self._clock.sleep(wait)
        pass_on = self._pending.pop(key, None)
        if pass_on is not None:
            self._passed_at[key] = self._clock.now()
            pass_on()


def appearance_of(watch: Watch) -> Hashable:
    """Return all that a reader of a watch would see change, except time."""
    reading = watch.reading
    visible = None if reading is None else (reading.verdict, reading.phase, reading.detail, reading.counts)
    return watch.state, watch.advisory, messages.reason_text(watch), watch.missing_polls, visible
