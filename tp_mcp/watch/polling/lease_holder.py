"""The leases of this process: taken and kept with each heartbeat, given up where TP does not let us in."""

import logging
import math
import secrets
from collections.abc import Collection
from typing import Protocol

import anyio

from tp_mcp.clock import Clock
from tp_mcp.errors import StoreError
from tp_mcp.watch.model import lease
from tp_mcp.watch.model.lease import HEARTBEAT_SECONDS, HEARTBEATS_TO_LIVE, RETAKE_SECONDS, Lease

logger = logging.getLogger(__name__)

_UNWRITTEN_EPOCH = 0
"""No lease has it, so what is written under it is refused: what is polled without a written lease."""


class LeaseStore(Protocol):
    """Keeps leases and heartbeats. Every method may raise StoreError."""

    async def version(self) -> int:
        """Return a number that differs from the one before if another process wrote in between."""
        ...

    async def beat(
        self, process: str, server: str, wanted: Collection[str], *, at: float, lifetime: float
    ) -> tuple[Lease, ...]:
        """Write a process's heartbeat, and take and drop leases as `tp_mcp.watch.model.lease.claim` decides.

        Returns:
            Every lease of that TP's targets afterwards.

        """
        ...

    async def leases(self, server: str) -> tuple[Lease, ...]:
        """Return every lease of one TP's targets."""
        ...

    async def release(self, process: str) -> None:
        """Drop a process's heartbeat and all its leases."""
        ...


class Leases:
    """Says which targets this process may poll."""

    def __init__(
        self, *, store: LeaseStore, clock: Clock, server: str, heartbeat_seconds: float = HEARTBEAT_SECONDS
    ) -> None:
        """Prepare; the first `beat` takes what is wanted.

        Args:
            store: where leases and heartbeats are.
            clock: the time; every process that shares the store has to have the same.
            server: the base URL of the TP that this process polls.
            heartbeat_seconds: time between two heartbeats; the same in every process.

        """
        self.process = secrets.token_hex(8)
        self.next_at = -math.inf
        self.server = server
        self._store = store
        self._clock = clock
        self._heartbeat = heartbeat_seconds
        self._lifetime = heartbeat_seconds * HEARTBEATS_TO_LIVE
        self._held: dict[str, int] = {}
        self._beat_at: float | None = None
        self._refused_until = -math.inf
        self._wrote = False
        self._seen_version: int | None = None
        self._one_at_a_time = anyio.Lock()
        self._closed = False
        self._failing = False

    def epoch(self, target: str) -> int | None:
        """Return the epoch of a target's lease; None where this process may not poll it, or slept too long."""
        if not lease.is_alive(self._beat_at, self._clock.now(), self._lifetime):
            return None
        return self._held.get(target)

    def hurry(self) -> None:
        """Let the next heartbeat be due now: there is something to take."""
        self.next_at = min(self.next_at, max(self._clock.now(), self._refused_until))

    def lost(self, target: str) -> None:
        """Take in that the store refused what was written under a target's lease."""
        self._held.pop(target, None)

    async def moved(self) -> bool:
        """Return whether another process has written since this was asked last; True at first."""
        before, self._seen_version = self._seen_version, await self._store.version()
        return self._seen_version != before

    async def beat(self, wanted: Collection[str]) -> None:
        """Show that this process lives; take those of `wanted` that nobody alive holds, drop what is not wanted."""
        async with self._one_at_a_time:
            now = self._clock.now()
            # Set before anything can fail, so that a store that cannot be used is not asked without end.
            self.next_at = now + self._heartbeat
            if now < self._refused_until:
                wanted = [target for target in wanted if target in self._held]
            if not self._closed and (wanted or self._wrote):
                # A process with nothing to poll keeps no disk busy.
                held = await self._written(wanted, now)
                self.next_at = lease.next_beat(
                    held, process=self.process, at=now, heartbeat=self._heartbeat, lifetime=self._lifetime
                )
            self._beat_at = now

    async def give_up(self) -> None:
        """Let go of every target, because TP does not let this process in, and take none for `RETAKE_SECONDS`."""
        async with self._one_at_a_time:
            self._refused_until = self._clock.now() + RETAKE_SECONDS
            await self._release()

    async def close(self) -> None:
        """Let go of every target at once, so that other processes need not wait for this one to count as dead."""
        async with self._one_at_a_time:
            self._closed = True
            await self._release()

    async def _release(self) -> None:
        self._held = {}
        try:
            if self._wrote:
                await self._store.release(self.process)
                self._wrote = False
        except StoreError as error:
            logger.warning("The leases could not be released; they run out by themselves: %s", error)

    async def _written(self, wanted: Collection[str], now: float) -> tuple[Lease, ...]:
        try:
            held = await self._store.beat(self.process, self.server, wanted, at=now, lifetime=self._lifetime)
        except StoreError as error:
            if not self._failing:
                logger.warning("The heartbeat could not be written: %s", error)
            self._failing = True
            return await self._unwritten(wanted, now)
        self._failing = False
        self._wrote = bool(wanted)
        self._held = {lease.target: lease.epoch for lease in held if lease.owner == self.process}
        return held

    async def _unwritten(self, wanted: Collection[str], now: float) -> tuple[Lease, ...]:
        # A full disk keeps nobody from reading TP. What another process surely polls is left to it.
        try:
            there = await self._store.leases(self.server)
        except StoreError:
            return ()
        allowed = lease.may_poll(there, wanted, process=self.process, at=now, lifetime=self._lifetime)
        mine = {lease.target: lease.epoch for lease in there if lease.owner == self.process}
        self._held = {target: mine.get(target, _UNWRITTEN_EPOCH) for target in allowed}
        return there
