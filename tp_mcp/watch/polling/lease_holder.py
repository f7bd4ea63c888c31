"""The leases of this process: taken and renewed with each heartbeat, released while TP refuses the login."""

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
"""The epoch of a target that is polled without a written lease. No lease has it, so its writes are refused."""


class LeaseStore(Protocol):
    """Keeps leases and heartbeats. Every method may raise StoreError."""

    async def beat(
        self, process: str, server: str, wanted: Collection[str], *, at: float, lifetime: float
    ) -> tuple[Lease, ...]:
        """Write a heartbeat, take and drop leases as `lease.claim` decides; return all leases on that TP then."""
        ...

    async def leases(self, server: str) -> tuple[Lease, ...]:
        """Return every lease of one TP's targets."""
        ...

    async def release(self, process: str) -> None:
        """Drop a process's heartbeat and all its leases."""
        ...


class Leases:
    """Decides which targets this process may poll."""

    def __init__(
        self, *, store: LeaseStore, clock: Clock, server: str, heartbeat_seconds: float = HEARTBEAT_SECONDS
    ) -> None:
        """Create a process without leases; the first `beat` takes some.

        All processes that share the store need the same time and the same `heartbeat_seconds` between two heartbeats.
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
        self._one_at_a_time = anyio.Lock()
        self._closed = False
        self._failing = False

    def epoch(self, target: str) -> int | None:
        """Return the epoch of a target's lease; None if this process may not poll it, or slept for too long."""
        if not lease.is_alive(self._beat_at, self._clock.now(), self._lifetime):
            return None
        return self._held.get(target)

    def beat_soon(self) -> None:
        """Make the next heartbeat due now: there is a target to take."""
        self.next_at = min(self.next_at, max(self._clock.now(), self._refused_until))

    def lost(self, target: str) -> None:
        """Drop a lease under which the store refused a write."""
        self._held.pop(target, None)

    async def beat(self, wanted: Collection[str]) -> None:
        """Write a heartbeat; take the wanted targets that no live process holds, and drop the others."""
        async with self._one_at_a_time:
            now = self._clock.now()
            # Set before anything can fail, so that a broken store is not called in a tight loop.
            self.next_at = now + self._heartbeat
            if now < self._refused_until:
                wanted = [target for target in wanted if target in self._held]
            if not self._closed and (wanted or self._wrote):
                # A process without targets does not write to the disk.
                held = await self._written(wanted, now)
                self.next_at = lease.next_beat(
                    held, process=self.process, at=now, heartbeat=self._heartbeat, lifetime=self._lifetime
                )
            self._beat_at = now

    async def give_up(self) -> None:
        """Release every target, because TP refuses this process's login, and take none for `RETAKE_SECONDS`."""
        async with self._one_at_a_time:
            self._refused_until = self._clock.now() + RETAKE_SECONDS
            await self._release()

    async def close(self) -> None:
        """Release every target, so that other processes need not wait until this one counts as dead."""
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
            logger.warning("The leases could not be released; they expire by themselves: %s", error)

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
        # A full disk does not stop polling. Targets that another live process holds are left to it.
        try:
            leases = await self._store.leases(self.server)
        except StoreError:
            return ()
        allowed = lease.may_poll(leases, wanted, process=self.process, at=now, lifetime=self._lifetime)
        mine = {lease.target: lease.epoch for lease in leases if lease.owner == self.process}
        self._held = {target: mine.get(target, _UNWRITTEN_EPOCH) for target in allowed}
        return leases
