"""Polling beside other processes: each heartbeat takes and loses targets, and takes up what the others wrote."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tp_mcp.clock import Clock
from tp_mcp.errors import StoreError
from tp_mcp.watch.model.lease import LEFT_TO_ITS_MAKER_SECONDS
from tp_mcp.watch.model.watch import Watch, WatchState
from tp_mcp.watch.polling.lease_holder import Leases
from tp_mcp.watch.polling.target import Target, TargetKey
from tp_mcp.watch.store import Store

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PolledHere:
    """A poller's targets and watches, as they stand at any time.

    Attributes:
        targets: the targets.
        watches: the watches, by id.
        add: begins with a watch.
        adopt: goes on with a watch as it stands in the store; None where its row is gone.

    """

    targets: Mapping[TargetKey, Target]
    watches: Mapping[str, Watch]
    add: Callable[[Watch], None]
    adopt: Callable[[str, Watch | None], None]


class Sharing:
    """Keeps a poller's targets in step with the leases of its process, and its watches in step with the store."""

    def __init__(
        self,
        *,
        leases: Leases,
        store: Store,
        clock: Clock,
        here: PolledHere,
    ) -> None:
        """Prepare.

        Args:
            leases: what this process may poll.
            store: what other processes write to.
            clock: the time.
            here: what the poller has, and how it begins with more.

        """
        self._leases = leases
        self._store = store
        self._clock = clock
        self._targets = here.targets
        self._watches = here.watches
        self._add = here.add
        self._adopt = here.adopt
        self._behind = False
        self.under_way = False

    @property
    def next_at(self) -> float:
        """Return when the next heartbeat is due."""
        return self._leases.next_at

    def hurry(self) -> None:
        """Let the next heartbeat be due now."""
        self._leases.hurry()

    def epoch(self, key: TargetKey) -> int | None:
        """Return the epoch of a target's lease; None where this process may not poll it."""
        return self._leases.epoch(key.text)

    def lost(self, target: Target) -> None:
        """Take in that the store refused what was written for a target: it is another process's now."""
        self._leases.lost(target.key.text)
        self._leases.hurry()
        target.leased = False

    async def give_up(self) -> None:
        """Let go of every target, because TP does not let this process in."""
        await self._leases.give_up()
        for target in self._targets.values():
            target.leased = False

    async def close(self) -> None:
        """Let go of every target for good, at once."""
        await self._leases.close()

    async def share(self) -> list[Target]:
        """Beat once; return the targets that are polled here from now on."""
        self.under_way = True
        try:
            await self._leases.beat([target.key.text for target in self._targets.values() if target.watch_ids])
            gained = {key for key, target in self._targets.items() if self.epoch(key) is not None and not target.leased}
            await self._catch_up_where_needed(gained)
            begun: list[Target] = []
            for key, target in self._targets.items():
                held = self.epoch(key) is not None
                if held and not target.leased:
                    begun.append(target)
                target.leased = held
            return begun
        finally:
            self.under_way = False

    async def _catch_up_where_needed(self, gained: set[TargetKey]) -> None:
        try:
            if await self._leases.moved() or self._behind or gained:
                await self._catch_up(gained)
            self._behind = False
        except StoreError as error:
            if not self._behind:
                logger.warning("What other processes wrote could not be read: %s", error)
            self._behind = True

    async def _catch_up(self, gained: set[TargetKey]) -> None:
        known = dict(self._watches)
        stored = await self._store.unended_revisions(self._leases.server)
        new = stored.keys() - known.keys()
        gone = known.keys() - stored.keys()
        inherited = {watch_id for key in gained if key in self._targets for watch_id in self._targets[key].watch_ids}
        stale = {each for each in inherited & stored.keys() & known.keys() if stored[each] != known[each].revision}
        found = {watch.id: watch for watch in await self._store.get_many(sorted(new | gone | stale))}
        for watch_id in sorted(gone | stale):
            # What a poll or a call of this process wrote meanwhile is newer than what was read here.
            if self._watches.get(watch_id) is known[watch_id]:
                self._adopt(watch_id, found.get(watch_id))
        for watch_id in sorted(new & found.keys() - self._watches.keys()):
            if not self._is_being_started(found[watch_id]):
                self._add(replace(found[watch_id], silent_since=None))

    def _is_being_started(self, watch: Watch) -> bool:
        asked = self._clock.now() - watch.created_at
        return watch.state is WatchState.STARTING and asked < LEFT_TO_ITS_MAKER_SECONDS
