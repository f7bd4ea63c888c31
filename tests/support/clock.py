"""A clock and a timer that a test moves."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

NOW = 1_780_000_000.0
"""The time at which every test begins that does not say otherwise."""


@dataclass
class FakeClock:
    """Time as a test sets it.

    Attributes:
        time: seconds since the epoch; a test may set it.
        sleep_is: how a sleep ends: "a wait" until a test moves the clock far enough, "a step" that moves the clock
            itself, or "an error", where the code under test never sleeps.
        sleepers: the end of each sleep under way, and the event that ends it.
        slept: the length of each sleep so far, in seconds.
    """

    time: float = NOW
    sleep_is: Literal["a wait", "a step", "an error"] = "a wait"
    sleepers: list[tuple[float, asyncio.Event]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        if self.sleep_is == "an error":
            raise AssertionError(f"nothing here waits, but something slept {seconds} s")
        self.slept.append(seconds)
        if self.sleep_is == "a step":
            self.time += seconds
            return
        sleeper = (self.time + seconds, asyncio.Event())
        self.sleepers.append(sleeper)
        try:
            await sleeper[1].wait()
        finally:
            self.sleepers.remove(sleeper)

    def move(self, seconds: float) -> None:
        """Move time on and end the sleeps that are over then."""
        self.move_to(self.time + seconds)

    def move_to(self, time: float) -> None:
        """Set the time and end the sleeps that are over then."""
        self.time = time
        for due, event in self.sleepers:
            if due <= time:
                event.set()


def still_clock(time: float = NOW) -> FakeClock:
    """Return a clock on which nothing may sleep."""
    return FakeClock(time, "an error")


def step_clock(time: float = NOW) -> FakeClock:
    """Return a clock that each sleep moves on at once."""
    return FakeClock(time, "a step")


@dataclass
class FakeTimer:
    """Remembers when it has to call; a test calls."""

    at: float | None = None
    callback: Callable[[], Awaitable[None]] | None = None
    stopped: bool = False

    def start(self, callback: Callable[[], Awaitable[None]]) -> None:
        self.callback = callback

    def set(self, at: float) -> None:
        if self.callback is not None and not self.stopped:
            self.at = at

    def stop(self) -> None:
        self.stopped, self.at = True, None

    async def fire(self) -> None:
        """Call back now."""
        self.at = None
        if self.callback is not None and not self.stopped:
            await self.callback()
