"""Waiting for one of some watches to change, within a limit."""

import zlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import anyio

from tp_mcp.clock import Clock
from tp_mcp.watch.model.until import Until, met, stand_of
from tp_mcp.watch.model.watch import Watch

HEARTBEAT_SECONDS = 10.0
"""How often whoever waits is told how it stands, at least."""


class Report(Protocol):
    """Tells whoever waits how the watches stand."""

    async def __call__(self, *watches: Watch) -> None:
        """Tell it."""
        ...


class Change:
    """Something that may happen to a watch.

    Attributes:
        ended: the watches that ended while somebody waited, by id. An end is told once it is written, so it stands.

    """

    def __init__(self) -> None:
        self._event = anyio.Event()
        self._is_awaited = False
        self.ended: dict[str, Watch] = {}

    def happened(self, watch: Watch | None = None) -> None:
        """Wake who waits; `watch` is the one that changed, as it stands now."""
        if watch is not None and watch.state.ended and self._is_awaited:
            self.ended[watch.id] = watch
        self._event.set()

    async def wait(self, seconds: float, clock: Clock) -> None:
        """Return when it happened, or after `seconds`."""

        async def end_in_time() -> None:
            await clock.sleep(seconds)
            self._event.set()

        # What was told before may have been added to since, such as by a brief of its report.
        self._is_awaited = not self._event.is_set()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(end_in_time)
            await self._event.wait()
            tasks.cancel_scope.cancel()


class Changes:
    """Tells those who wait that a watch changed."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[Change]] = {}
        self._listeners: dict[object, Callable[[Watch], None]] = {}

    @contextmanager
    def of(self, *watch_ids: str) -> Iterator[Change]:
        """Give a change of any of some watches to wait for; one that happens before the wait begins is not missed."""
        change = Change()
        for watch_id in watch_ids:
            self._waiting.setdefault(watch_id, set()).add(change)
        try:
            yield change
        finally:
            for watch_id in watch_ids:
                waiting = self._waiting[watch_id]
                waiting.discard(change)
                if not waiting:
                    del self._waiting[watch_id]

    def awaited(self) -> set[str]:
        """Return the ids of the watches that somebody waits for."""
        return set(self._waiting)

    def listen(self, listener: Callable[[Watch], None]) -> Callable[[], None]:
        """Call `listener` with each watch that changed; return what ends it. It must neither raise nor wait."""
        key = object()
        self._listeners[key] = listener

        def stop() -> None:
            self._listeners.pop(key, None)

        return stop

    def tell(self, watch: Watch) -> None:
        """Wake everyone who waits for this watch, and tell who listens."""
        for change in self._waiting.get(watch.id, ()):
            change.happened(watch)
        for listener in tuple(self._listeners.values()):
            listener(watch)


async def wait_for_first(
    watch_ids: Sequence[str],
    look: Callable[[str], Awaitable[Watch]],
    *,
    changes: Changes,
    clock: Clock,
    looked_at: Callable[[], AbstractContextManager[None]],
    seconds: float,
    until: Until,
    report: Report | None,
) -> tuple[Watch, ...]:
    """Return watches when the first of them has ended or met `until`, or as they stand after `seconds`.

    Args:
        watch_ids: which watches, each once.
        look: returns one of them as it stands.
        changes: tells when one changed.
        clock: the time.
        looked_at: gives a context in which what other processes write is noticed.
        seconds: how long to wait at most.
        until: what the wait is for; measured from how each watch stands at the beginning.
        report: called at once and then every `HEARTBEAT_SECONDS`, the first time sooner, and when one of the watches
            changed.

    """
    now = clock.now()
    deadline, beat_at = now + seconds, now + _first_beat(watch_ids[0])
    began: tuple[str, ...] = ()
    ended: dict[str, Watch] = {}
    while True:
        with changes.of(*watch_ids) as changed:
            # An end that was just told is not read again: with many at once that would wait behind writing the others.
            watches = tuple([ended.get(watch_id) or await look(watch_id) for watch_id in watch_ids])
            began = began or tuple(map(stand_of, watches))
            if any(met(until, stood, watch) for stood, watch in zip(began, watches, strict=True)):
                return watches
            if report is not None:
                await report(*watches)
            left = deadline - clock.now()
            if left <= 0:
                return watches
            with looked_at():
                await changed.wait(min(left, max(beat_at - clock.now(), 0.0)), clock)
            ended = changed.ended
            if clock.now() >= beat_at:
                beat_at = clock.now() + HEARTBEAT_SECONDS


def _first_beat(watch_id: str) -> float:
    # Many calls may begin to wait at once; were all told in the same moment, an end would have to wait for that.
    return HEARTBEAT_SECONDS * (0.5 + zlib.crc32(watch_id.encode()) / 2**33)
