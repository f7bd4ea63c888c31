"""One GET per job and interval, however many watches want it."""

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import replace

import anyio
from anyio.abc import TaskGroup
from pydantic import JsonValue

from tp_mcp.clock import Clock
from tp_mcp.errors import StoreError, TpError, TpMcpError, TpServerFaultError, TpTimeoutError
from tp_mcp.watch import machine
from tp_mcp.watch.ports import Reader, Rule, Settler, Store, Timer
from tp_mcp.watch.states import Step, Watch, WatchState
from tp_mcp.watch.target import DueQueue, Target, TargetKey, key_of

logger = logging.getLogger(__name__)

POLL_TIMEOUT_SECONDS = 30.0
MAX_CONCURRENT_POLLS = 32
RESUME_SPREAD_SECONDS = 1.0
BACKOFF_MAX_SECONDS = 300.0
FLUSH_SECONDS = 15.0
BASELINE_AGE_SECONDS = 60.0
"""How long before its watch was written the baseline of a start may have been read."""
_BACKOFF_MAX_DOUBLINGS = 10
_INTERNAL_REASON = "The latest look at TP failed for an internal reason; see the server's log."


class Poller:
    """Polls the targets of all watches of this process, and takes the answers in.

    It never retries: its next poll does. A poll that changes nothing of substance writes nothing; counters go to the
    store in batches.
    """

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

        """
        self._store = store
        self._reader = reader
        self._rules = rules
        self._settlers = settlers
        self._clock = clock
        self._timer = timer
        self._task_group = task_group
        self._on_change = on_change
        self._interval_factor = interval_factor
        self._rng = random.Random() if rng is None else rng  # noqa: S311 -- spreads load, guards nothing
        self._watches: dict[str, Watch] = {}
        self._targets: dict[TargetKey, Target] = {}
        self._target_of: dict[str, TargetKey] = {}
        self._queue = DueQueue()
        self._unwritten: set[str] = set()
        self._unwritten_ends: dict[str, Step] = {}
        self._flushed_at = clock.now()
        self._limiter = anyio.CapacityLimiter(MAX_CONCURRENT_POLLS)

    def start(self) -> None:
        """Begin polling what was added and what will be."""
        self._timer.start(self.tick)
        self._set_timer()

    def stop(self) -> None:
        """Poll no more. Polls under way end with the task group."""
        self._timer.stop()

    def add(self, watch: Watch, *, resumed: bool = False, unwritten_end: Step | None = None) -> None:
        """Poll a watch from now on; one that has ended is left alone.

        Args:
            watch: a watch in state `starting` (its start is settled by reading) or `active`.
            resumed: it was found in the store, so its first poll is overdue; a small spread avoids a burst.
            unwritten_end: its end, which could not be written; the next poll tries to.

        """
        self.remove(watch.id)
        if watch.state.ended:
            return
        tool, args = self._what_to_read(watch)
        key = key_of(tool, args)
        self._watches[watch.id] = watch
        if unwritten_end is not None:
            self._unwritten_ends[watch.id] = unwritten_end
        self._target_of[watch.id] = key
        now = self._clock.now()
        interval = self._scaled(watch.spec.interval_seconds)
        earliest, latest = (0.0, min(RESUME_SPREAD_SECONDS, interval)) if resumed else (interval / 2, interval)
        due = now + self._rng.uniform(earliest, latest)
        target = self._targets.get(key)
        if target is None:
            target = self._targets[key] = Target(key=key, args=args, due=due)
        shares = bool(target.watch_ids)
        target.watch_ids.add(watch.id)
        # A poll that comes within the watch's interval anyway is soon enough: joining others asks TP no more often.
        if not target.polling and not (shares and target.due <= now + interval):
            self._queue.put(target, due)
        self._set_timer()

    def remove(self, watch_id: str) -> None:
        """Poll a watch no longer."""
        self._watches.pop(watch_id, None)
        self._unwritten.discard(watch_id)
        self._unwritten_ends.pop(watch_id, None)
        key = self._target_of.pop(watch_id, None)
        if key is not None:
            target = self._targets[key]
            target.watch_ids.discard(watch_id)
            if not target.watch_ids and not target.polling:
                del self._targets[key]

    def current(self, watch_id: str) -> Watch | None:
        """Return a polled watch as it stands, counters not yet written included."""
        return self._watches.get(watch_id)

    async def tick(self) -> None:
        """Begin a poll of every target that is due; the timer calls this."""
        now = self._clock.now()
        for target in self._queue.pop_due(now):
            target.polling = True
            self._task_group.start_soon(self._poll, target)
        if self._unwritten and now - self._flushed_at >= FLUSH_SECONDS:
            # Apart, because a store that another process holds must not keep other targets from being polled in time.
            self._flushed_at = now
            self._task_group.start_soon(self.flush)
        self._set_timer()

    async def flush(self) -> None:
        """Write the counters that only moved in memory."""
        self._flushed_at = self._clock.now()
        batch = [self._watches[watch_id] for watch_id in sorted(self._unwritten)]
        self._unwritten.clear()
        if not batch:
            return
        try:
            for before, after in zip(batch, await self._store.save_all(batch), strict=True):
                if after is None:
                    self._adopt(before.id, await self._store.get(before.id))
                else:
                    self._take_over(before, after)
        except StoreError as error:
            self._unwritten.update(watch.id for watch in batch if watch.id in self._watches)
            logger.warning("Progress of %d watches could not be written: %s", len(batch), error)

    async def _poll(self, target: Target) -> None:
        try:
            async with self._limiter:
                # Who joins while TP is being asked gets nothing of this answer: it may tell of a time before the start
                # of the job that is to be watched.
                asking = {watch_id: self._watches[watch_id].state for watch_id in sorted(target.watch_ids)}
                outcome = await self._read(target)
            target.failures = target.failures + 1 if isinstance(outcome, TpError) else 0
            for watch_id, state in asking.items():
                watch = self._watches.get(watch_id)
                if watch is not None and watch.state is state:
                    await self._take_in(watch_id, outcome)
        finally:
            target.polling = False
            self._reschedule(target)

    async def _read(self, target: Target) -> JsonValue | TpError:
        try:
            with anyio.fail_after(POLL_TIMEOUT_SECONDS):
                return await self._reader.read(target.key.tool, target.args)
        except TpMcpError as error:
            return error if isinstance(error, TpError) else TpError(error.message, remedy=error.remedy)
        except TimeoutError:
            return TpTimeoutError(f"TP did not answer within {POLL_TIMEOUT_SECONDS:g} s.")
        except Exception:
            # A fault of ours in one poll must not end every other watch of the process.
            logger.exception("Polling %s failed unexpectedly", target.key.tool)
            return TpServerFaultError(_INTERNAL_REASON)

    async def _take_in(self, watch_id: str, outcome: JsonValue | TpError) -> None:
        """Take an answer in, again on the watch as it stands in the store where somebody else wrote it meanwhile."""
        while (watch := self._watches.get(watch_id)) is not None:
            try:
                taken = await self._taken_by_others(watch)
            except StoreError as error:
                logger.warning("%s cannot be settled yet: %s", watch_id, error)
                return
            step = self._unwritten_ends.pop(watch_id, None) or self._step(watch, outcome, taken)
            if step.watch is watch:
                return
            for note in step.notes:
                logger.warning("%s", note)
            if not step.durable:
                self._keep(step)
                return
            try:
                saved = await self._store.save(step.watch, step.entry)
                stands = await self._store.get(watch_id) if saved is None else saved
            except StoreError as error:
                logger.warning("%s could not be written: %s", watch_id, error)
                self._keep(step)
                return
            self._adopt(watch_id, stands)
            if saved is not None:
                return

    def _keep(self, step: Step) -> None:
        """Keep in memory what is not written yet; an end shows only once it is written."""
        watch = step.watch
        if watch.id not in self._watches:
            return
        if watch.state.ended:
            self._unwritten_ends[watch.id] = step
            return
        self._watches[watch.id] = watch
        self._unwritten.add(watch.id)
        self._on_change(watch)

    async def _taken_by_others(self, watch: Watch) -> frozenset[str]:
        """Return the jobs that cannot be this watch's, because TP accepted them for others."""
        if watch.state is not WatchState.STARTING:
            return frozenset()
        since = watch.created_at - BASELINE_AGE_SECONDS
        return await self._store.jobs_started(watch.server, since=since, but_for=watch.id)

    def _step(self, watch: Watch, outcome: JsonValue | TpError, taken: frozenset[str]) -> Step:
        now = self._clock.now()
        if isinstance(outcome, TpError):
            return machine.observe_failure(watch, outcome, now=now)
        try:
            if watch.state is WatchState.STARTING:
                settlement = self._settlers[watch.spec.rule].settle(watch, outcome, taken=taken)
                return machine.observe_settlement(watch, settlement, now=now)
            interpretation = self._rules[watch.spec.rule].interpret(watch, outcome)
        except TpError as error:
            return machine.observe_failure(watch, error, now=now)
        except Exception:
            # A fault of ours over one answer must not end every other watch of the process.
            logger.exception("Taking in an answer for %s failed unexpectedly", watch.id)
            return machine.observe_failure(watch, TpServerFaultError(_INTERNAL_REASON), now=now)
        return machine.observe_answer(watch, interpretation, outcome, now=now)

    def _take_over(self, before: Watch, after: Watch) -> None:
        """Go on with the revision that a batch wrote, whatever a poll observed in the meantime."""
        stands = self._watches.get(before.id)
        if stands is not None and stands.revision == before.revision:
            self._watches[before.id] = after if stands is before else replace(stands, revision=after.revision)

    def _adopt(self, watch_id: str, stands: Watch | None) -> None:
        """Go on with a watch as it stands in the store."""
        before = self._watches.get(watch_id)
        if before is None:
            return
        self._unwritten.discard(watch_id)
        if stands is None or stands.state.ended:
            self.remove(watch_id)
        elif stands.state is before.state:
            self._watches[watch_id] = stands
        else:
            self.add(stands)
        if stands is not None:
            self._on_change(stands)

    def _what_to_read(self, watch: Watch) -> tuple[str, Mapping[str, JsonValue]]:
        if watch.state is WatchState.STARTING:
            return self._settlers[watch.spec.rule].settling_read(watch)
        return watch.spec.tool, watch.spec.args

    def _reschedule(self, target: Target) -> None:
        if not target.watch_ids:
            del self._targets[target.key]
            return
        interval = self._scaled(min(self._watches[watch_id].spec.interval_seconds for watch_id in target.watch_ids))
        wait = interval
        if target.failures:
            longest = min(interval * 2 ** min(target.failures, _BACKOFF_MAX_DOUBLINGS), BACKOFF_MAX_SECONDS)
            wait = max(interval, self._rng.uniform(0.0, longest))
        self._queue.put(target, self._clock.now() + wait)
        self._set_timer()

    def _scaled(self, interval_seconds: float) -> float:
        return interval_seconds * self._interval_factor

    def _set_timer(self) -> None:
        due = self._queue.next_due()
        if self._unwritten:
            flush_at = self._flushed_at + FLUSH_SECONDS
            due = flush_at if due is None else min(due, flush_at)
        if due is not None:
            self._timer.set(due)
