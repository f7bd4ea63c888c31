"""The timer, by APScheduler: one job in memory, moved to the time of the next poll."""

import logging
import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger

GRID_SECONDS = 0.05
_JOB_ID = "tick"

_MAX_INSTANCES = 16
"""APScheduler counts a run until the next turn of the loop and drops runs above this number; ours never overlap."""


class ApschedulerTimer:
    """Calls back at a time that can be moved, on the running asyncio loop.

    Times are rounded up to a grid, so that thousands of targets due in one second cause at most twenty ticks.
    """

    def __init__(self) -> None:
        # A late run must never be dropped (misfire_grace_time); two late ones become one (coalesce).
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": _MAX_INSTANCES}
        )
        self._callback: Callable[[], Awaitable[None]] | None = None
        self._at: float | None = None
        self._running = False
        self._overtaken = False
        logging.getLogger("apscheduler").setLevel(logging.ERROR)

    def start(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Begin; `callback` runs at each time that is set."""
        self._callback = callback
        self._scheduler.start()

    def set(self, at: float) -> None:
        """Run the callback at `at` (seconds since the epoch) instead of at an earlier set time."""
        on_grid = math.ceil(at / GRID_SECONDS) * GRID_SECONDS
        if self._callback is None or on_grid == self._at:
            return
        self._at = on_grid
        self._scheduler.add_job(
            self._fire,
            DateTrigger(datetime.fromtimestamp(on_grid, UTC)),
            id=_JOB_ID,
            replace_existing=True,
        )

    def stop(self) -> None:
        """End; the callback does not run again."""
        if self._callback is not None:
            self._callback = None
            self._scheduler.shutdown(wait=False)

    async def _fire(self) -> None:
        self._at = None
        self._overtaken = True
        if self._running:
            return
        self._running = True
        try:
            while self._overtaken and self._callback is not None:
                self._overtaken = False
                await self._callback()
        finally:
            self._running = False
