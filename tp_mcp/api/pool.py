"""Connections to one host: the one that was used last is used next, however many there are.

httpcore looks through every connection of a pool, and asks the system about each idle one, at the beginning and the end
of each request. With one connection in each of its pools there is nothing to look through.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import httpx2


class Pool:
    """Transports that carry one request at a time each.

    Args:
        make: makes a transport.
        most: how many there are at most.
        wait_seconds: how long a request waits for one.
        idle_seconds: after how long without a request one is closed.

    """

    def __init__(
        self,
        make: Callable[[], httpx2.AsyncBaseTransport],
        *,
        most: int,
        wait_seconds: float,
        idle_seconds: float,
    ) -> None:
        self._make = make
        self._free = anyio.Semaphore(most)
        self._wait_seconds = wait_seconds
        self._idle_seconds = idle_seconds
        self._idle: list[tuple[float, httpx2.AsyncBaseTransport]] = []  # the one that was used last at the end
        self._all: set[httpx2.AsyncBaseTransport] = set()

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[httpx2.AsyncBaseTransport]:
        """Lend a transport to one request.

        Raises:
            httpx2.PoolTimeout: all are in use.

        """
        await self._wait()
        try:
            transport = self._idle.pop()[1] if self._idle else self._make()
            self._all.add(transport)
            try:
                yield transport
            finally:
                if transport in self._all:
                    self._idle.append((anyio.current_time(), transport))
            await self._close_long_idle()
        finally:
            self._free.release()

    async def aclose(self) -> None:
        """Close every connection, also those that are in use."""
        there, self._all = self._all, set()
        self._idle.clear()
        for transport in there:
            await transport.aclose()

    async def _wait(self) -> None:
        try:
            self._free.acquire_nowait()
        except anyio.WouldBlock:
            with anyio.move_on_after(self._wait_seconds) as waiting:
                await self._free.acquire()
            if waiting.cancelled_caught:
                raise httpx2.PoolTimeout("all connections are in use") from None

    async def _close_long_idle(self) -> None:
        while self._idle and anyio.current_time() - self._idle[0][0] > self._idle_seconds:
            _, transport = self._idle.pop(0)
            self._all.discard(transport)
            await transport.aclose()
