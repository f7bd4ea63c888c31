"""Simulated time: scaled, paused, stepped.

Two readings, because two kinds of things are timed. `now()` is the time TP's own work goes by: it runs `speed` times as
fast as real time. `wall()` is for what a client judges by its own clock, a token's `exp`: real time. A step moves both.
"""

import asyncio
import time
from collections.abc import Callable


class SimulatedClock:
    """A clock that runs `speed` simulated seconds per real second, and can be paused and stepped."""

    def __init__(
        self, speed: float, *, start: float | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._monotonic = monotonic
        self._speed = speed
        self._paused = False
        self._real_base = self._real_start = monotonic()
        self._base = self._start = time.time() if start is None else start
        self._stepped = 0.0
        self._changed = asyncio.Event()

    @property
    def speed(self) -> float:
        """Simulated seconds per real second while not paused."""
        return self._speed

    @property
    def paused(self) -> bool:
        """Whether only steps move the time."""
        return self._paused or self._speed <= 0

    def now(self) -> float:
        """Return the simulated time in seconds since the epoch."""
        return self._base + (0.0 if self.paused else (self._monotonic() - self._real_base) * self._speed)

    def wall(self) -> float:
        """Return real time plus all steps, in seconds since the epoch."""
        return self._start + (self._monotonic() - self._real_start) + self._stepped

    def advance(self, seconds: float) -> None:
        """Step forward. Raises ValueError if `seconds` is negative."""
        if seconds < 0:
            raise ValueError("time only moves forward")
        self._rebase()
        self._base += seconds
        self._stepped += seconds
        self._notify()

    def pause(self) -> None:
        """Stop the clock; only steps move it."""
        self._rebase()
        self._paused = True
        self._notify()

    def resume(self) -> None:
        """Start the clock again."""
        self._rebase()
        self._paused = False
        self._notify()

    def set_speed(self, speed: float) -> None:
        """Run at `speed` simulated seconds per real second from now on. Raises ValueError if `speed` is negative."""
        if speed < 0:
            raise ValueError("time only moves forward")
        self._rebase()
        self._speed = speed
        self._notify()

    async def wait_until(self, moment: float) -> None:
        """Return once the simulated time has reached `moment`."""
        while (left := moment - self.now()) > 0:
            changed = self._changed
            timeout = None if self.paused else left / self._speed
            try:
                async with asyncio.timeout(timeout):
                    await changed.wait()
            except TimeoutError:
                continue

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of simulated time."""
        await self.wait_until(self.now() + seconds)

    def _rebase(self) -> None:
        self._base, self._real_base = self.now(), self._monotonic()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
