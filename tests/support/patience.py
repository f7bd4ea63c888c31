"""How long a test waits for something that has to happen, and how it waits."""

import asyncio
from collections.abc import Awaitable, Callable

PATIENCE_SECONDS = 120.0
"""Bound of every wait for a real process or thread: far more than a busy machine needs, less than pytest's limit."""


async def until(holds: Callable[[], bool | Awaitable[bool]], *, every_seconds: float = 0.02) -> None:
    """Return once a condition holds, which is looked at again and again.

    Raises:
        TimeoutError: it never held within `PATIENCE_SECONDS`.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (answer if isinstance(answer := holds(), bool) else await answer):
            await asyncio.sleep(every_seconds)
