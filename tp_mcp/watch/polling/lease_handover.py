"""Polling beside other processes: each heartbeat gains and loses targets, and reads watches that others saved."""

import logging
from dataclasses import replace

from tp_mcp.clock import Clock
from tp_mcp.errors import StoreError
from tp_mcp.watch.delivery.change_feed import ChangeFeed
from tp_mcp.watch.model.lease import LEFT_TO_ITS_MAKER_SECONDS
from tp_mcp.watch.model.watch import Watch, WatchState
from tp_mcp.watch.polling.lease_holder import Leases
from tp_mcp.watch.polling.observations import Observations
from tp_mcp.watch.polling.target import Target
from tp_mcp.watch.polling.watch_table import WatchTable
from tp_mcp.watch.store import Store

logger = logging.getLogger(__name__)


class LeaseHandover:
    """Keeps the targets of the table in step with this process's leases, and its watches in step with the store."""

    def __init__(
        self,
        *,
        leases: Leases,
        store: Store,
        feed: ChangeFeed,
        table: WatchTable,
        observations: Observations,
        clock: Clock,
    ) -> None:
        self._leases = leases
        self._store = store
        self._feed = feed
        self._table = table
        self._observations = observations
        self._clock = clock
        self._foreign_writes: int | None = None
        self._is_behind = False
        self.in_progress = False

    def next_beat(self) -> float:
        """Return the time of the next heartbeat: at once, if the table has a new target without a lease."""
        if self._table.needs_lease:
            self._table.needs_lease = False
            self._leases.beat_soon()
        return self._leases.next_at

    def lost(self, target: Target) -> None:
        """Stop polling a target: the store refused a write, so another process holds its lease."""
        self._leases.lost(target.key.text)
        self._leases.beat_soon()
        target.leased = False

    async def give_up(self) -> None:
        """Release every target, because TP refuses this process's login."""
        await self._leases.give_up()
        for target in self._table.targets:
            target.leased = False

    async def beat(self) -> list[Target]:
        """Make one heartbeat; return the targets that are polled here from now on."""
        self.in_progress = True
        try:
            targets = self._table.targets
            await self._leases.beat([target.key.text for target in targets if target.watch_ids])
            gained = {id(target): target for target in targets if self._is_held(target) and not target.leased}
            await self._catch_up_if_needed(list(gained.values()))
            begun = [target for target in targets if self._is_held(target) and not target.leased]
            for target in targets:
                target.leased = self._is_held(target)
            return begun
        finally:
            self.in_progress = False

    def _is_held(self, target: Target) -> bool:
        return self._leases.epoch(target.key.text) is not None

    async def _catch_up_if_needed(self, gained: list[Target]) -> None:
        try:
            before, self._foreign_writes = self._foreign_writes, await self._feed.foreign_writes()
            if before != self._foreign_writes or self._is_behind or gained:
                await self._catch_up(gained)
            self._is_behind = False
        except StoreError as error:
            if not self._is_behind:
                logger.warning("The watches that other processes saved could not be read: %s", error)
            self._is_behind = True

    async def _catch_up(self, gained: list[Target]) -> None:
        """Add watches that other processes made, drop those that ended, and refresh those of gained targets."""
        watches = self._table.watches
        before = dict(watches)
        stored = await self._store.unended_revisions(self._leases.server)
        new = stored.keys() - before.keys()
        gone = before.keys() - stored.keys()
        inherited = {watch_id for target in gained for watch_id in target.watch_ids}
        stale = {each for each in inherited & stored.keys() & before.keys() if stored[each] != before[each].revision}
        found = {watch.id: watch for watch in await self._store.get_many(sorted(new | gone | stale))}
        for watch_id in sorted(gone | stale):
            # A poll or a call of this process may have saved a watch since: then that is newer than the row read here.
            if watches.get(watch_id) is before[watch_id]:
                self._observations.adopt(watch_id, found.get(watch_id))
        for watch_id in sorted(new & found.keys() - watches.keys()):
            if not self._is_being_started(found[watch_id]):
                self._table.add(replace(found[watch_id], silent_since=None), self._clock.now())

    def _is_being_started(self, watch: Watch) -> bool:
        age = self._clock.now() - watch.created_at
        return watch.state is WatchState.STARTING and age < LEFT_TO_ITS_MAKER_SECONDS
