"""The only source of time.

Code that reads the time or waits takes a `Clock`, so that tests move time instead of waiting for it.
"""

import time
from typing import Protocol

import anyio


class Clock(Protocol):
    """Source of time."""

    def now(self) -> float:
        """Return the wall-clock time in seconds since the epoch (UTC)."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Sleep for `seconds`; zero or less only yields to other tasks."""
        ...


class SystemClock:
    """Clock of the operating system."""

    def now(self) -> float:
        """Return the wall-clock time in seconds since the epoch (UTC)."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Sleep for `seconds`; zero or less only yields to other tasks."""
        await anyio.sleep(max(seconds, 0.0))
