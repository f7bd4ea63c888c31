"""Progress notifications of a wait."""

from collections.abc import Awaitable, Callable

from tp_mcp.clock import Clock
from tp_mcp.watch import words
from tp_mcp.watch.states import Watch

STEP = 0.001

Send = Callable[[float, float | None, str], Awaitable[None]]


class ProgressReporter:
    """Tells a client how a watch stands, with a value that strictly rises as the protocol asks.

    Where the number of planned tests is known, the value is how many have finished; otherwise the seconds waited.
    """

    def __init__(self, send: Send, clock: Clock) -> None:
        self._send = send
        self._clock = clock
        self._since = clock.now()
        self._last = -STEP

    async def report(self, watch: Watch) -> None:
        """Send one notification."""
        counts = watch.reading.counts if watch.reading is not None else None
        total = float(counts.total) if counts is not None and counts.total else None
        now = self._clock.now()
        value = float(counts.finished) if counts is not None and total is not None else now - self._since
        self._last = round(max(value, self._last + STEP), 3)
        await self._send(self._last, total, f"{watch.title}: {words.progress_line(watch, now)}")
