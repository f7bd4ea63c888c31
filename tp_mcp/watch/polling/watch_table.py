"""The watches of this process, the targets that they share, and when each target is due. No I/O."""

import random
from collections.abc import Callable, Collection, Mapping

from pydantic import JsonValue

from tp_mcp.watch.model.watch import Watch
from tp_mcp.watch.polling.target import DueQueue, Target, TargetKey, key_of

RESUME_SPREAD_SECONDS = 1.0
RESUME_SECONDS_PER_TARGET = 0.02
"""First polls of many targets take longer than `RESUME_SPREAD_SECONDS`, but never longer than their interval."""


def resume_spread(targets: int) -> float:
    """Return the seconds over which the first polls of a number of targets are spread."""
    return max(RESUME_SPREAD_SECONDS, targets * RESUME_SECONDS_PER_TARGET)


class WatchTable:
    """Watches and targets in memory. The poller, the observations and the lease handover share one table.

    `targets` has also those that another process polls. `needs_lease` says that a target was added that this process
    holds no lease of; the handover resets it.
    """

    def __init__(
        self,
        *,
        request_of: Callable[[Watch], tuple[str, Mapping[str, JsonValue]]],
        identity_of: Callable[[str, str], str] | None,
        is_leased: Callable[[TargetKey], bool],
        rng: random.Random,
        interval_factor: float,
    ) -> None:
        self._request_of = request_of
        self._identity_of = identity_of
        self._is_leased = is_leased
        self._rng = rng
        self._interval_factor = interval_factor
        self._watches: dict[str, Watch] = {}
        self._target_of: dict[str, Target] = {}
        self._targets: dict[TargetKey, Target] = {}
        self.watches: Mapping[str, Watch] = self._watches
        self.targets: Collection[Target] = self._targets.values()
        self.queue = DueQueue()
        self.needs_lease = False

    def target_of(self, watch_id: str) -> Target | None:
        """Return the target of a watch; None if the watch is not in the table."""
        return self._target_of.get(watch_id)

    def resume_spread(self, watches: Collection[Watch]) -> float:
        """Return the seconds over which the first polls of some watches are spread."""
        return resume_spread(len({self._key_and_args(watch)[0] for watch in watches}))

    def add(self, watch: Watch, now: float, *, resumed: bool = False, spread: float = RESUME_SPREAD_SECONDS) -> None:
        """Add a watch that has not ended, or move one to the target of its new state; arguments as in `Poller.add`."""
        self.remove(watch.id)
        key, args = self._key_and_args(watch)
        interval = self._scaled(watch.spec.interval_seconds)
        earliest, latest = (0.0, min(spread, interval)) if resumed else (interval / 2, interval)
        due = now + self._rng.uniform(earliest, latest)
        target = self._targets.get(key)
        if target is None:
            target = self._targets[key] = Target(key=key, args=args, due=due, leased=self._is_leased(key))
        self._watches[watch.id], self._target_of[watch.id] = watch, target
        is_shared = bool(target.watch_ids)
        target.watch_ids.add(watch.id)
        # A poll within the watch's interval is soon enough: joining others causes no extra request.
        if not target.polling and not (is_shared and target.due <= now + interval):
            self.queue.put(target, due)
        self.needs_lease = self.needs_lease or not target.leased

    def update(self, watch: Watch) -> None:
        """Replace a watch by a later version of itself that belongs to the same target."""
        self._watches[watch.id] = watch

    def remove(self, watch_id: str) -> None:
        """Remove a watch, and its target if no other watch shares it."""
        self._watches.pop(watch_id, None)
        target = self._target_of.pop(watch_id, None)
        if target is not None:
            target.watch_ids.discard(watch_id)
            self.drop_unused(target)

    def drop_unused(self, target: Target) -> bool:
        """Remove a target that no watch shares, unless a poll of it is in progress; return whether none shares it."""
        if not target.watch_ids and not target.polling:
            del self._targets[target.key]
        return not target.watch_ids

    def interval(self, target: Target) -> float:
        """Return the shortest interval of the watches that share a target, in seconds."""
        return self._scaled(min(self._watches[watch_id].spec.interval_seconds for watch_id in target.watch_ids))

    def polled_intervals(self) -> list[float]:
        """Return the interval of each target that this process polls, in seconds."""
        return [self.interval(target) for target in self._targets.values() if target.watch_ids and target.leased]

    def schedule_gained(self, gained: Collection[Target], now: float) -> None:
        """Schedule targets whose lease was just taken; overdue ones are spread."""
        spread = resume_spread(len(gained))
        for target in gained:
            if target.watch_ids and not target.polling:
                late = now + self._rng.uniform(0.0, min(spread, self.interval(target)))
                self.queue.put(target, late if target.due <= now else target.due)

    def reschedule_all(self, now: float) -> None:
        """Spread all targets over their intervals and forget their failures: TP is back."""
        for target in self._targets.values():
            target.failures = 0
            if not target.polling:
                self.queue.put(target, now + self._rng.uniform(0.0, self.interval(target)))

    def _key_and_args(self, watch: Watch) -> tuple[TargetKey, Mapping[str, JsonValue]]:
        tool, args = self._request_of(watch)
        identity = "" if self._identity_of is None else self._identity_of(tool, watch.owner.principal)
        return key_of(tool, args, identity), args

    def _scaled(self, interval_seconds: float) -> float:
        return interval_seconds * self._interval_factor
