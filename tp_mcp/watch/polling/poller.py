"""Polls TP: one GET per target and interval, however many watches share the target."""

import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from tp_mcp.clock import Clock
from tp_mcp.errors import TpError, TpNotAuthenticatedError
from tp_mcp.watch.delivery.change_feed import ChangeFeed
from tp_mcp.watch.model.spec import MIN_INTERVAL_SECONDS
from tp_mcp.watch.model.watch import Step, Watch, WatchState
from tp_mcp.watch.polling.interpretation import POLL_TIMEOUT_SECONDS, Answer, Interpreter
from tp_mcp.watch.polling.lease_handover import LeaseHandover
from tp_mcp.watch.polling.lease_holder import Leases
from tp_mcp.watch.polling.observations import Observations
from tp_mcp.watch.polling.outage import Outage, backoff, is_outage
from tp_mcp.watch.polling.target import Target, TargetKey
from tp_mcp.watch.polling.watch_table import RESUME_SPREAD_SECONDS, WatchTable
from tp_mcp.watch.store import Store

logger = logging.getLogger(__name__)

MAX_CONCURRENT_POLLS = 32
_UNSHARED_EPOCH = 1
"""Stands for the epoch of a lease in a process that shares its store with no other."""


class Timer(Protocol):
    """Calls back once, at a time that can be moved."""

    def start(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Begin; `callback` runs at each time that is set."""
        ...

    def set(self, at: float) -> None:
        """Run the callback at `at` (seconds since the epoch) instead of at an earlier set time."""
        ...

    def stop(self) -> None:
        """End; the callback does not run again."""
        ...


class Poller:
    """Polls the targets of this process's watches. It never retries: the next poll does."""

    def __init__(
        self,
        *,
        store: Store,
        feed: ChangeFeed,
        interpreter: Interpreter,
        clock: Clock,
        timer: Timer,
        task_group: TaskGroup,
        on_change: Callable[[Watch], None],
        interval_factor: float = 1.0,
        rng: random.Random | None = None,
        leases: Leases | None = None,
        identity_of: Callable[[str, str], str] | None = None,
    ) -> None:
        """Create a poller; it polls nothing before `start`.

        Args:
            on_change: called with each watch that was polled or saved.
            task_group: runs polls; cancelling it ends them.
            interval_factor: multiplies every interval.
            rng: source of phases and back-off.
            leases: decides which targets this process may poll; None if no other process shares the store.
            identity_of: returns the login that polls a tool for a principal; None if all use the configured one.
        """
        rng = random.Random() if rng is None else rng  # noqa: S311 -- spreads load, guards nothing
        self._clock = clock
        self._timer = timer
        self._task_group = task_group
        self._on_change = on_change
        self._interval_factor = interval_factor
        self._rng = rng
        self._leases = leases
        self._interpreter = interpreter
        self._table = WatchTable(
            request_of=interpreter.request_of,
            identity_of=identity_of,
            is_leased=lambda key: self._epoch(key) is not None,
            rng=rng,
            interval_factor=interval_factor,
        )
        self._observations = Observations(
            store=store,
            interpreter=interpreter,
            table=self._table,
            clock=clock,
            on_change=on_change,
            leased=leases is not None,
        )
        self._handover: LeaseHandover | None = None
        if leases is not None:
            self._handover = LeaseHandover(
                leases=leases,
                store=store,
                feed=feed,
                table=self._table,
                observations=self._observations,
                clock=clock,
            )
        self._outage = Outage(rng)
        self._limiter = anyio.CapacityLimiter(MAX_CONCURRENT_POLLS)
        self._is_flushing = False
        feed.on_foreign_write = self._adopt_foreign_write

    def start(self) -> None:
        """Begin to poll."""
        self._timer.start(self.tick)
        self._set_timer()

    def stop(self) -> None:
        """Stop polling. Polls in progress end with the task group."""
        self._timer.stop()

    async def close(self) -> None:
        """Stop polling, save all counters and ends, and release the targets for other processes."""
        self.stop()
        await self.flush()
        if self._leases is not None:
            await self._leases.close()

    def resume(self, watches: Sequence[Watch]) -> None:
        """Poll watches that were found in the store, each target soon, spread in proportion to their number."""
        spread = self._table.resume_spread(watches)
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
        """Poll a watch in state `starting` (reading settles its start) or `active`; one that has ended is ignored.

        With `resumed` it was found in the store: its first poll is overdue, and comes within `spread` seconds. The next
        flush saves `unwritten_end`, its end that could not be saved.
        """
        self.remove(watch.id)
        if watch.state.ended:
            return
        self._table.add(watch, self._clock.now(), resumed=resumed, spread=spread)
        if unwritten_end is not None:
            self._observations.defer_end(unwritten_end)
        self._set_timer()

    def remove(self, watch_id: str) -> None:
        """Stop polling a watch."""
        self._observations.forget(watch_id)

    def current(self, watch_id: str) -> Watch | None:
        """Return a polled watch with its latest observation; None if this process does not poll it."""
        target = self._table.target_of(watch_id)
        return self._table.watches[watch_id] if target is not None and target.leased else None

    def polls(self, watch_id: str) -> bool:
        """Return whether this process polls a watch."""
        return self.current(watch_id) is not None

    async def tick(self) -> None:
        """Begin a poll of every target that is due; the timer calls this."""
        now = self._clock.now()
        if self._handover is not None and not self._handover.in_progress and now >= self._handover.next_beat():
            self._handover.in_progress = True
            self._task_group.start_soon(self._beat, self._handover)
        for target in self._table.queue.pop_due(now):
            if self._outage.allows_poll(target.key, now, poll_timeout=POLL_TIMEOUT_SECONDS):
                target.polling = True
                self._task_group.start_soon(self._poll, target)
            else:
                self._table.queue.put(target, self._outage.retry_at)
        flush_at = self._observations.flush_at
        if flush_at is not None and now >= flush_at and not self._is_flushing:
            # In a task of its own: a store that another process locks must not delay other targets.
            self._is_flushing = True
            self._task_group.start_soon(self._flush_once)
        self._set_timer()

    async def flush(self) -> None:
        """Save counters that only changed in memory, and ends that could not be saved."""
        await self._observations.flush(self._epoch_of)

    async def _flush_once(self) -> None:
        try:
            await self.flush()
        finally:
            self._is_flushing = False
            self._set_timer()

    async def _beat(self, handover: LeaseHandover) -> None:
        self._table.schedule_gained(await handover.beat(), self._clock.now())
        self._set_timer()

    async def _poll(self, target: Target) -> None:
        try:
            async with self._limiter:
                epoch = self._epoch(target.key)
                if epoch is None or self._outage.suspends(target.key):
                    return
                # A watch that joins during the request gets nothing of its answer: it may predate the start of the
                # job to be watched.
                asked = {watch_id: self._table.watches[watch_id].state for watch_id in sorted(target.watch_ids)}
                outcome = await self._interpreter.read(target)
            if self._epoch(target.key) != epoch:
                # The process slept, and another one polls the target by now: this answer may be older than theirs.
                return
            await self._apply(target, outcome, epoch, asked)
        finally:
            target.polling = False
            self._reschedule(target)
            self._set_timer()

    async def _apply(
        self, target: Target, outcome: Answer | TpError, epoch: int, asked: Mapping[str, WatchState]
    ) -> None:
        """Apply the outcome of a poll; `asked` are the watches that shared the request, with their states then."""
        if not is_outage(outcome):
            if self._outage.answered(target, outcome):
                self._table.reschedule_all(self._clock.now())
            target.failures = target.failures + 1 if isinstance(outcome, TpError) else 0
            watches = self._table.watches
            unchanged = [each for each, state in asked.items() if each in watches and watches[each].state is state]
            await self._observe(target, unchanged, outcome, epoch)
            return
        target.failures += 1
        refused = isinstance(outcome, TpNotAuthenticatedError)
        # One principal's login says nothing about TP, nor about the other logins.
        concerns_all = not (refused and target.key.identity)
        if concerns_all:
            default = MIN_INTERVAL_SECONDS * self._interval_factor
            intervals = self._table.polled_intervals()
            self._outage.failed(target, outcome, now=self._clock.now(), intervals=intervals, default=default)
        await self._observe(target, sorted(target.watch_ids), outcome, epoch)
        if concerns_all and self._outage.away:
            await self._apply_outage_to_others(target, outcome)
            if refused and self._handover is not None:
                await self._handover.give_up()

    async def _observe(self, target: Target, watch_ids: Sequence[str], outcome: Answer | TpError, epoch: int) -> None:
        if not await self._observations.apply(watch_ids, outcome, epoch) and self._handover is not None:
            self._handover.lost(target)

    async def _apply_outage_to_others(self, polled: Target, failure: TpError) -> None:
        """Apply an outage to the watches of all other targets: during an outage only one target is polled."""
        for watch_id, watch in sorted(self._table.watches.items()):
            target = self._table.target_of(watch_id)
            if target is None or target is polled or self._table.watches[watch_id] is not watch:
                # While another watch was saved, this one was cancelled or saved itself.
                continue
            epoch = self._epoch(target.key)
            if epoch is not None and self._observations.ends_in_outage(watch_id, failure):
                await self._observe(target, [watch_id], failure, epoch)
        await self.flush()

    def _adopt_foreign_write(self, watch: Watch) -> None:
        """Continue with a watch that another process saved."""
        if watch.state.ended and watch.id in self._table.watches:
            self._observations.adopt(watch.id, watch)
        else:
            self._on_change(watch)

    def _reschedule(self, target: Target) -> None:
        if self._table.drop_unused(target):
            return
        interval, now = self._table.interval(target), self._clock.now()
        wait = backoff(target.failures, interval, self._rng) if target.failures else interval
        due = max(now + interval, self._outage.retry_at) if self._outage.away else now + wait
        self._table.queue.put(target, due)
        if self._leases is not None and self._epoch(target.key) is None:
            self._leases.beat_soon()

    def _epoch(self, key: TargetKey) -> int | None:
        """Return the epoch of the lease under which a target is polled here; None if it is not."""
        return _UNSHARED_EPOCH if self._leases is None else self._leases.epoch(key.text)

    def _epoch_of(self, watch_id: str) -> int | None:
        target = self._table.target_of(watch_id)
        return None if target is None else self._epoch(target.key)

    def _set_timer(self) -> None:
        due = [self._table.queue.next_due()]
        if not self._is_flushing:
            due.append(self._observations.flush_at)
        if self._handover is not None and not self._handover.in_progress:
            due.append(max(self._handover.next_beat(), self._clock.now()))
        if times := [at for at in due if at is not None]:
            self._timer.set(min(times))
