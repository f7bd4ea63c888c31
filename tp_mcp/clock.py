"""The one source of time.

Everything that asks for the time or waits takes a `Clock`, so that tests move time instead of waiting for it.
"""

import time
from typing import Protocol

import anyio


class Clock(Protocol):
    """A source of time and a way to wait for it."""

    def now(self) -> float:
        """Return the wall-clock time in seconds since the epoch (UTC)."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`; zero or less only yields to other tasks."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Return the wall-clock time in seconds since the epoch (UTC)."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`; zero or less only yields to other tasks."""
        await anyio.sleep(max(seconds, 0.0))
