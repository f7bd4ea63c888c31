"""One GET per job and interval, however many watches want it."""

import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from tp_mcp.clock import Clock
from tp_mcp.errors import TpError, TpNotAuthenticatedError
from tp_mcp.watch.model.spec import MIN_INTERVAL_SECONDS
from tp_mcp.watch.model.watch import Advisory, Step, Watch, WatchState
from tp_mcp.watch.polling.interpretation import POLL_TIMEOUT_SECONDS, Looking, Reader, Rule, Settler
from tp_mcp.watch.polling.lease_handover import PolledHere, Sharing
from tp_mcp.watch.polling.lease_holder import Leases
from tp_mcp.watch.polling.observations import Intake
from tp_mcp.watch.polling.outage import Outage, backoff, is_outage
from tp_mcp.watch.polling.target import RESUME_SPREAD_SECONDS, DueQueue, Target, TargetKey, key_of, resume_spread
from tp_mcp.watch.store import Store

logger = logging.getLogger(__name__)

MAX_CONCURRENT_POLLS = 32
_ALONE = 1
"""Stands for the epoch of a lease where there are none."""


class Timer(Protocol):
    """Calls back once at a time that can be moved."""

    def start(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Begin; `callback` runs at each time that is set."""
        ...

    def set(self, at: float) -> None:
        """Let the callback run at `at` (seconds since the epoch); replaces an earlier time."""
        ...

    def stop(self) -> None:
        """End; nothing is called back afterwards."""
        ...


class Poller:
    """Polls the targets of all watches of this process. It never retries: its next poll does."""

    def __init__(
        self,
        *,
        store: Store,
        reader: Reader,
        rules: Mapping[str, Rule],
        settlers: Mapping[str, Settler],
        clock: Clock,
        timer: Timer,
        task_group: TaskGroup,
        on_change: Callable[[Watch], None],
        interval_factor: float = 1.0,
        rng: random.Random | None = None,
        leases: Leases | None = None,
        identity_of: Callable[[str, str], str] | None = None,
    ) -> None:
        """Prepare; nothing is polled before `start`.

        Args:
            store: where watches are kept.
            reader: polls a tool by name.
            rules: by name, what an answer means.
            settlers: by name, how a start without an answer is settled.
            clock: the time.
            timer: calls `tick` when a target is due.
            task_group: where polls run; cancelling it ends them.
            on_change: told of each watch that was polled or written.
            interval_factor: multiplies every interval.
            rng: where phases and back-off come from.
            leases: which targets this process may poll; None where no other process has the same watches.
            identity_of: whose login polls a tool for a principal; None where the configured one always does.

        """
        self._looking = Looking(reader, rules, settlers)
        self._clock = clock
        self._timer = timer
        self._task_group = task_group
        self._on_change = on_change
        self._interval_factor = interval_factor
        self._identity_of = identity_of
        self._rng = random.Random() if rng is None else rng  # noqa: S311 -- spreads load, guards nothing
        self._targets: dict[TargetKey, Target] = {}
        self._target_of: dict[str, TargetKey] = {}
        self._queue = DueQueue()
        self._flushing = False
        self._limiter = anyio.CapacityLimiter(MAX_CONCURRENT_POLLS)
        self._outage = Outage(self._rng)
        self._intake = Intake(
            store=store,
            looking=self._looking,
            clock=clock,
            outage=self._outage,
            on_change=on_change,
            polling=self,
            leased=leases is not None,
        )
        self._watches = self._intake.watches
        self._sharing: Sharing | None = None
        if leases is not None:
            view = PolledHere(targets=self._targets, watches=self._watches, add=self.add, adopt=self._intake.adopt)
            self._sharing = Sharing(leases=leases, store=store, clock=clock, here=view)

    def start(self) -> None:
        """Begin polling what was added and what will be."""
        self._timer.start(self.tick)
        self._set_timer()

    def stop(self) -> None:
        """Poll no more. Polls under way end with the task group."""
        self._timer.stop()

    async def close(self) -> None:
        """Poll no more, write what is not written yet, and leave the targets to other processes at once."""
        self.stop()
        await self.flush()
        if self._sharing is not None:
            await self._sharing.close()

    def resume(self, watches: Sequence[Watch]) -> None:
        """Poll watches that were found in the store, each target soon, spread out in proportion to their number."""
        spread = resume_spread(len({self._key(watch) for watch in watches}))
        for watch in watches:
            self.add(watch, resumed=True, spread=spread)

    def add(
        self,
        watch: Watch,
        *,
        resumed: bool = False,
        spread: float = RESUME_SPREAD_SECONDS,
        unwritten_end: Step | None = None,
    ) -> None:
        """Poll a watch from now on; one that has ended is left alone.

        Args:
            watch: a watch in state `starting` (its start is settled by reading) or `active`.
            resumed: it was found in the store, so its first poll is overdue; a small spread avoids a burst.
            spread: over how many seconds.
            unwritten_end: its end, which could not be written; the next poll tries to.

        """
        self.remove(watch.id)
        if watch.state.ended:
            return
        _, args = self._looking.what_to_read(watch)
        key = self._key(watch)
        self._intake.begin(watch, end=unwritten_end)
        self._target_of[watch.id] = key
        now = self._clock.now()
        interval = self._scaled(watch.spec.interval_seconds)
        earliest, latest = (0.0, min(spread, interval)) if resumed else (interval / 2, interval)
        due = now + self._rng.uniform(earliest, latest)
        target = self._targets.get(key)
        if target is None:
            target = self._targets[key] = Target(key=key, args=args, due=due, leased=self._epoch(key) is not None)
        if watch.advisory is Advisory.UNREACHABLE:
            self._outage.told.add(watch.id)
        shares = bool(target.watch_ids)
        target.watch_ids.add(watch.id)
        # A poll that comes within the watch's interval anyway is soon enough: joining others asks TP no more often.
        if not target.polling and not (shares and target.due <= now + interval):
            self._queue.put(target, due)
        if self._sharing is not None and not target.leased:
            self._sharing.hurry()
        self._set_timer()

    def remove(self, watch_id: str) -> None:
        """Poll a watch no longer."""
        self._intake.forget(watch_id)
        self._outage.told.discard(watch_id)
        key = self._target_of.pop(watch_id, None)
        if key is not None:
            target = self._targets[key]
            target.watch_ids.discard(watch_id)
            if not target.watch_ids and not target.polling:
                del self._targets[key]

    def current(self, watch_id: str) -> Watch | None:
        """Return a polled watch as it stands, counters not yet written included; None where others poll it."""
        key = self._target_of.get(watch_id)
        return self._watches[watch_id] if key is not None and self._targets[key].leased else None

    def polls(self, watch_id: str) -> bool:
        """Return whether a watch is polled by this process."""
        return self.current(watch_id) is not None

    def written_elsewhere(self, watch: Watch) -> None:
        """Take in that another process wrote a watch."""
        if watch.state.ended and watch.id in self._watches:
            self._intake.adopt(watch.id, watch)
        else:
            self._on_change(watch)

    async def tick(self) -> None:
        """Begin a poll of every target that is due; the timer calls this."""
        now = self._clock.now()
        if self._sharing is not None and now >= self._sharing.next_at and not self._sharing.under_way:
            self._sharing.under_way = True
            self._task_group.start_soon(self._share, self._sharing)
        for target in self._queue.pop_due(now):
            if self._outage.lets_through(target.key, now, longest_poll=POLL_TIMEOUT_SECONDS):
                target.polling = True
                self._task_group.start_soon(self._poll, target)
            else:
                self._queue.put(target, self._outage.retry_at)
        flush_at = self._intake.flush_at
        if flush_at is not None and now >= flush_at and not self._flushing:
            # Apart, because a store that another process holds must not keep other targets from being polled in time.
            self._flushing = True
            self._task_group.start_soon(self._flush_once)
        self._set_timer()

    async def flush(self) -> None:
        """Write the counters that only moved in memory, and ends that could not be written."""
        await self._intake.flush(lambda watch_id: self._epoch(self._target_of[watch_id]))

    async def _flush_once(self) -> None:
        try:
            await self.flush()
        finally:
            self._flushing = False
            self._set_timer()

    async def _share(self, sharing: Sharing) -> None:
        gained = await sharing.share()
        now, spread = self._clock.now(), resume_spread(len(gained))
        for target in gained:
            if target.watch_ids and not target.polling:
                late = now + self._rng.uniform(0.0, min(spread, self._interval(target)))
                self._queue.put(target, late if target.due <= now else target.due)
        self._set_timer()

    async def _poll(self, target: Target) -> None:
        try:
            async with self._limiter:
                epoch = self._epoch(target.key)
                if epoch is None or self._outage.holds_back(target.key):
                    return
                # Who joins while TP is being asked gets nothing of this answer: it may tell of a time before the start
                # of the job that is to be watched.
                asking = {watch_id: self._watches[watch_id].state for watch_id in sorted(target.watch_ids)}
                outcome = await self._looking.read(target)
            if self._epoch(target.key) != epoch:
                # The process slept, and another one polls it by now: this answer may be older than that one's.
                return
            if target.key.identity and isinstance(outcome, TpNotAuthenticatedError):
                # One principal's login says nothing of TP, nor of the others'.
                target.failures += 1
                await self._intake.take_in(sorted(target.watch_ids), outcome, epoch)
            elif is_outage(outcome):
                await self._take_in_silence(target, outcome, epoch)
            else:
                if self._outage.answered(target, outcome):
                    self._spread_again()
                target.failures = target.failures + 1 if isinstance(outcome, TpError) else 0
                still = [watch_id for watch_id, state in asking.items() if self._is_in(watch_id, state)]
                await self._intake.take_in(still, outcome, epoch)
        finally:
            target.polling = False
            self._reschedule(target)

    async def _take_in_silence(self, target: Target, failure: TpError, epoch: int) -> None:
        target.failures += 1
        watched = [self._interval(each) for each in self._targets.values() if each.watch_ids and each.leased]
        self._outage.failed(
            target,
            failure,
            now=self._clock.now(),
            targets=len(watched),
            interval=min(watched, default=self._scaled(MIN_INTERVAL_SECONDS)),
        )
        await self._intake.take_in(sorted(target.watch_ids), failure, epoch)
        if self._outage.away:
            await self._take_in_everywhere(target, failure)
            if self._sharing is not None and isinstance(failure, TpNotAuthenticatedError):
                await self._sharing.give_up()

    async def _take_in_everywhere(self, asked: Target, failure: TpError) -> None:
        """Let every watch know that TP is away: while it is, only one target asks."""
        for watch_id, watch in sorted(self._watches.items()):
            if self._watches.get(watch_id) is not watch:
                # While an end was written, it was given up or written itself.
                continue
            target = self._targets[self._target_of[watch_id]]
            epoch = self._epoch(target.key)
            if target is not asked and epoch is not None:
                await self._intake.take_in_silence(watch_id, failure, epoch)
        await self.flush()

    def _spread_again(self) -> None:
        now = self._clock.now()
        for target in self._targets.values():
            target.failures = 0
            if not target.polling:
                self._queue.put(target, now + self._rng.uniform(0.0, self._interval(target)))

    def lost(self, watch_id: str) -> None:
        """Take in that the store refused what was polled for a watch: another process polls it now."""
        key = self._target_of.get(watch_id)
        if self._sharing is not None and key is not None:
            self._sharing.lost(self._targets[key])

    def _reschedule(self, target: Target) -> None:
        if not target.watch_ids:
            del self._targets[target.key]
            return
        interval, now = self._interval(target), self._clock.now()
        wait = backoff(target.failures, interval, self._rng) if target.failures else interval
        due = max(now + interval, self._outage.retry_at) if self._outage.away else now + wait
        self._queue.put(target, due)
        if self._sharing is not None and self._epoch(target.key) is None:
            self._sharing.hurry()
        self._set_timer()

    def _epoch(self, key: TargetKey) -> int | None:
        """Return under which lease a target is polled here; None where it is not."""
        return _ALONE if self._sharing is None else self._sharing.epoch(key)

    def _is_in(self, watch_id: str, state: WatchState) -> bool:
        watch = self._watches.get(watch_id)
        return watch is not None and watch.state is state

    def _interval(self, target: Target) -> float:
        return self._scaled(min(self._watches[watch_id].spec.interval_seconds for watch_id in target.watch_ids))

    def _key(self, watch: Watch) -> TargetKey:
        tool, args = self._looking.what_to_read(watch)
        identity = "" if self._identity_of is None else self._identity_of(tool, watch.owner.principal)
        return key_of(tool, args, identity)

    def _scaled(self, interval_seconds: float) -> float:
        return interval_seconds * self._interval_factor

    def _set_timer(self) -> None:
        due = self._queue.next_due()
        flush_at = self._intake.flush_at
        if flush_at is not None and not self._flushing:
            due = flush_at if due is None else min(due, flush_at)
        if self._sharing is not None and not self._sharing.under_way:
            beat_at = max(self._sharing.next_at, self._clock.now())
            due = beat_at if due is None else min(due, beat_at)
        if due is not None:
            self._timer.set(due)
