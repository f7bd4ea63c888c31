"""Waiting for a watch to change, within a limit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio

from tp_mcp.clock import Clock
from tp_mcp.watch.states import Watch


class Change:
    """Something that may happen to one watch."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def happened(self) -> None:
        """Wake who waits."""
        self._event.set()

    async def wait(self, seconds: float, clock: Clock) -> None:
        """Return when it happened, or after `seconds`."""

        async def end_in_time() -> None:
            await clock.sleep(seconds)
            self._event.set()

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
    def of(self, watch_id: str) -> Iterator[Change]:
        """Give a change to wait for; one that happens before the wait begins is not missed."""
        change = Change()
        waiting = self._waiting.setdefault(watch_id, set())
        waiting.add(change)
        try:
            yield change
        finally:
            waiting.discard(change)
            if not waiting:
                self._waiting.pop(watch_id, None)

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
            change.happened()
        for listener in tuple(self._listeners.values()):
            listener(watch)
