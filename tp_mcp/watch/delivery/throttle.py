"""Not more often than a person can follow."""

from collections.abc import Callable, Hashable

from anyio.abc import TaskGroup

from tp_mcp.clock import Clock
from tp_mcp.watch.model.watch import Watch


class Throttle:
    """Passes on that something looks different: at once, or once the last time is `seconds` ago."""

    def __init__(self, *, seconds: float, clock: Clock, tasks: TaskGroup) -> None:
        self._seconds = seconds
        self._clock = clock
        self._tasks = tasks
        self._passed_at: dict[str, float] = {}
        self._shows: dict[str, Hashable] = {}
        self._waiting: dict[str, Callable[[], object]] = {}

    def offer(self, key: str, shows: Hashable, pass_on: Callable[[], object]) -> None:
        """Take in how something looks; call `pass_on` soon if that is not how it looked before."""
        if self._shows.get(key) == shows:
            return
        self._shows[key] = shows
        wait = self._passed_at.get(key, 0.0) + self._seconds - self._clock.now()
        if wait <= 0:
            self._passed_at[key] = self._clock.now()
            pass_on()
        elif key in self._waiting:
            self._waiting[key] = pass_on
        else:
            self._waiting[key] = pass_on
            self._tasks.start_soon(self._later, key, wait)

    def forget(self, key: str) -> None:
        """Pass on nothing more of it."""
        self._shows.pop(key, None)
        self._passed_at.pop(key, None)
        self._waiting.pop(key, None)

    async def _later(self, key: str, wait: float) -> None:
        await self._clock.sleep(wait)
        pass_on = self._waiting.pop(key, None)
        if pass_on is not None:
            self._passed_at[key] = self._clock.now()
            pass_on()


def looks_of(watch: Watch) -> Hashable:
    """Return what a reader of a watch would see change, time apart."""
    reading = watch.reading
    seen = None if reading is None else (reading.verdict, reading.phase, reading.detail, reading.counts)
    return watch.state, watch.advisory, watch.reason, watch.missing_polls, seen
