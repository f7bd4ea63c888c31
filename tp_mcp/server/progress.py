"""Progress notifications of a wait."""

import math

import anyio

from tp_mcp.clock import Clock
from tp_mcp.redaction import Redactor, SafeText
from tp_mcp.results.text import shorten
from tp_mcp.server.outgoing import SendProgress
from tp_mcp.watch.delivery import messages
from tp_mcp.watch.model.watch import Watch

CREEP = 0.05
"""Share of the way to the next whole number that a value goes which had to rise although nothing happened."""

MESSAGE_MAX_CHARACTERS = 600
SEND_SECONDS = 2.0
"""How long a client that reads nothing may hold up a wait; it gets the next notification."""


class ProgressReporter:
    """Tells a client how watches stand, with a value that strictly rises as the protocol asks.

    For a run the value is how many tests have finished, and the total how many are planned, once that is known; for
    anything else, and for several watches, the value is the seconds waited, and there is no total. The value stays
    below a total: until the job has ended, it is not complete.
    """

    def __init__(self, send: SendProgress, clock: Clock, redactor: Redactor) -> None:
        """Prepare to `send` notifications."""
        self._send = send
        self._clock = clock
        self._redactor = redactor
        self._since = clock.now()
        self._last = -1.0

    async def report(self, *watches: Watch) -> None:
        """Send one notification of how watches stand. A client that does not take it holds nobody up for long."""
        now = self._clock.now()
        value, total = self._measured(watches[0], now) if len(watches) == 1 else (now - self._since, None)
        if total is not None and value >= total:
            value = total - 0.5
        if value <= self._last:
            value = self._last + (math.floor(self._last) + 1 - self._last) * CREEP
        self._last = value
        message = "; ".join(self._message(watch, now, MESSAGE_MAX_CHARACTERS // len(watches)) for watch in watches)
        with anyio.move_on_after(SEND_SECONDS):
            await self._send(value, total if total is None or total > value else None, self._redactor.safe(message))

    def _message(self, watch: Watch, now: float, max_characters: int) -> SafeText:
        # Titles hold names of TP's, of any length.
        title = shorten(self._redactor.safe_line(watch.title), messages.TITLE_MAX_CHARACTERS)
        return shorten(self._redactor.safe_line(f"{title}: {messages.progress_line(watch, now)}"), max_characters)

    def _measured(self, watch: Watch, now: float) -> tuple[float, float | None]:
        if watch.reading is None:
            return 0.0, None
        counts = watch.reading.counts
        if counts is None:
            return now - self._since, None
        return float(counts.finished), float(counts.total) if counts.total else None
