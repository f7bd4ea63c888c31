"""Applies poll results to this process's watches: updates them, saves them, notifies listeners."""

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import anyio

from tp_mcp.clock import Clock
from tp_mcp.errors import StoreError, TpError
from tp_mcp.watch.delivery.messages import inbox_entry, note_text, unwritten_end
from tp_mcp.watch.model.watch import Advisory, AdvisoryBegan, AdvisoryEnded, Step, Watch, WatchState
from tp_mcp.watch.polling.interpretation import Answer, Interpreter
from tp_mcp.watch.polling.watch_table import WatchTable
from tp_mcp.watch.store import Store

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 15.0
FLUSHED_AT_ONCE = 100
"""Number of watches whose counters one batch writes: an end waits for one batch at most."""


@dataclass(frozen=True, slots=True)
class _UnwrittenEnd:
    """An end that could not be saved yet; `polled` if it needs the lease under which it was observed."""

    step: Step
    polled: bool


class Observations:
    """Applies the results of polls.

    A poll that changes nothing of substance saves nothing; counters go to the store in batches. An end is visible only
    once it is saved. With `leased`, results of polls are saved only under the epoch of a lease.
    """

    def __init__(
        self,
        *,
        store: Store,
        interpreter: Interpreter,
        table: WatchTable,
        clock: Clock,
        on_change: Callable[[Watch], None],
        leased: bool,
    ) -> None:
        self._store = store
        self._interpreter = interpreter
        self._table = table
        self._clock = clock
        self._on_change = on_change
        self._leased = leased
        self._unwritten: set[str] = set()
        self._unwritten_ends: dict[str, _UnwrittenEnd] = {}
        self._flushed_at = clock.now()

    @property
    def flush_at(self) -> float | None:
        """Time of the next flush; None if everything is saved."""
        return self._flushed_at + FLUSH_SECONDS if self._unwritten or self._unwritten_ends else None

    def forget(self, watch_id: str) -> None:
        """Stop observing a watch."""
        self._table.remove(watch_id)
        self._unwritten.discard(watch_id)
        self._unwritten_ends.pop(watch_id, None)

    async def apply(self, watch_ids: Collection[str], outcome: Answer | TpError, epoch: int) -> bool:
        """Apply one poll to the watches that share it; all that has to be saved at once is saved together.

        Returns False if the store refused it, because another process holds the lease by now.
        """
        durable = {watch_id: step for watch_id in watch_ids if (step := self._apply_in_memory(watch_id, outcome))}
        if len(durable) == 1:
            [(watch_id, step)] = durable.items()
            return await self._apply_durably(watch_id, outcome, epoch, step)
        accepted: list[bool] = []

        async def apply_one(watch_id: str, step: Step) -> None:
            accepted.append(await self._apply_durably(watch_id, outcome, epoch, step))

        if durable:
            # The store puts concurrent writes into one transaction.
            async with anyio.create_task_group() as tasks:
                for watch_id, step in durable.items():
                    tasks.start_soon(apply_one, watch_id, step)
        return all(accepted)

    def ends_in_outage(self, watch_id: str, failure: TpError) -> bool:
        """Apply an outage to a watch that was not polled itself; return True instead if it ends there, to be saved."""
        watch = self._table.watches[watch_id]
        step = self._interpreter.step(watch, failure, self._clock.now())
        if not step.watch.state.ended and step.watch != watch:
            self._defer(step)
        return step.watch.state.ended

    def adopt(self, watch_id: str, stored: Watch | None) -> None:
        """Continue with a watch as the store has it; None if its row is gone."""
        before = self._table.watches.get(watch_id)
        if before is None:
            return
        self._unwritten.discard(watch_id)
        if stored is None or stored.state.ended:
            self.forget(watch_id)
        elif stored.state is before.state:
            self._table.update(stored)
        else:
            self._unwritten_ends.pop(watch_id, None)
            self._table.add(stored, self._clock.now())
        if stored is not None:
            self._on_change(stored)

    async def flush(self, epoch_of: Callable[[str], int | None]) -> None:
        """Save counters that only changed in memory, and ends that could not be saved.

        `epoch_of` returns the epoch of the lease under which a watch is polled here; None if it is not.
        """
        self._flushed_at = self._clock.now()
        for watch_id in sorted(self._unwritten_ends):
            # While one is being saved, another watch may be cancelled.
            if watch_id in self._unwritten_ends:
                await self._save_end(watch_id, epoch_of(watch_id))
        # Counters of a target that another process has taken are that process's to count.
        held = [watch_id for watch_id in sorted(self._unwritten) if epoch_of(watch_id) is not None]
        self._unwritten.intersection_update(held)
        for begin in range(0, len(held), FLUSHED_AT_ONCE):
            # A watch that ended during an earlier batch is saved already.
            batch = [watch_id for watch_id in held[begin : begin + FLUSHED_AT_ONCE] if watch_id in self._unwritten]
            if batch and not await self._flush_batch([self._table.watches[watch_id] for watch_id in batch]):
                return

    async def _flush_batch(self, batch: Sequence[Watch]) -> bool:
        """Save some watches; return False if the store failed."""
        self._unwritten.difference_update(watch.id for watch in batch)
        try:
            for before, after in zip(batch, await self._store.save_all(batch), strict=True):
                if after is None:
                    self.adopt(before.id, await self._store.get(before.id))
                else:
                    self._rebase(before, after)
        except StoreError as error:
            unwritten = self._unwritten.union(watch.id for watch in batch)
            self._unwritten.update(watch_id for watch_id in unwritten if watch_id in self._table.watches)
            logger.warning("Progress of %d watches could not be written: %s", len(unwritten), error)
            return False
        return True

    def _apply_in_memory(self, watch_id: str, outcome: Answer | TpError) -> Step | None:
        """Apply a poll that need not be saved at once; return the transition if it has to be."""
        watch = self._table.watches.get(watch_id)
        if watch is None or watch_id in self._unwritten_ends:
            return None
        step = self._interpreter.step(watch, outcome, self._clock.now())
        if step.durable or watch.state is WatchState.STARTING:
            return step
        _log(step)
        self._defer(step)
        return None

    async def _apply_durably(self, watch_id: str, outcome: Answer | TpError, epoch: int, first: Step) -> bool:
        """Apply a poll and save it; apply it again where somebody else saved the watch first."""
        step: Step | None = first
        while (watch := self._table.watches.get(watch_id)) is not None:
            if step is None or watch.state is WatchState.STARTING:
                try:
                    taken = await self._jobs_of_others(watch)
                except StoreError as error:
                    logger.warning("%s cannot be settled yet: %s", watch_id, error)
                    break
                step = self._interpreter.step(watch, outcome, self._clock.now(), taken=taken)
            if step.watch is watch:
                break
            _log(step)
            if not step.durable:
                self._defer(step)
                break
            try:
                saved = await self._store.save(step.watch, inbox_entry(step), epoch=epoch if self._leased else None)
                stored = await self._store.get(watch_id) if saved is None else saved
            except StoreError as error:
                logger.warning("%s could not be written: %s", watch_id, error)
                self._defer(step, error)
                break
            self.adopt(watch_id, stored)
            if saved is not None:
                break
            if stored is not None and stored.revision == watch.revision:
                # Nobody else saved it, and the store refused it all the same: another process holds the lease.
                return False
            step = None
        return True

    async def _jobs_of_others(self, watch: Watch) -> frozenset[str]:
        """Return the jobs that TP accepted for other watches, which an unanswered start cannot own."""
        if watch.state is not WatchState.STARTING:
            return frozenset()
        return await self._store.jobs_started(watch.server, since=watch.created_at, but_for=watch.id)

    async def _save_end(self, watch_id: str, epoch: int | None) -> None:
        end = self._unwritten_ends[watch_id]
        step = end.step
        if end.polled and epoch is None:
            # Another process polls the watch by now, and observes the end itself.
            del self._unwritten_ends[watch_id]
            self._table.update(replace(self._table.watches[watch_id], unwritten=""))
            return
        lease = epoch if end.polled and self._leased else None
        try:
            while True:
                saved = await self._store.save(step.watch, inbox_entry(step), epoch=lease)
                stored = await self._store.get(watch_id) if saved is None else saved
                if saved is not None or end.polled or stored is None or stored.state.ended:
                    break
                # TP's answer to a start outweighs observations of other processes.
                step = step.on(stored)
        except StoreError as error:
            logger.warning("The end of %s could not be written: %s", watch_id, error)
            self.defer_end(step, polled=end.polled, error=error)
            return
        # If somebody else saved the watch first, the next poll observes the end again.
        self._unwritten_ends.pop(watch_id, None)
        self.adopt(watch_id, stored)

    def _defer(self, step: Step, error: StoreError | None = None) -> None:
        """Update a watch in memory, to be saved with the next flush."""
        watch = step.watch
        if watch.id not in self._table.watches:
            return
        if watch.state.ended:
            self.defer_end(step, polled=True, error=error)
            return
        self._table.update(watch)
        self._unwritten.add(watch.id)
        self._on_change(watch)

    def defer_end(self, step: Step, *, polled: bool = False, error: StoreError | None = None) -> None:
        """Keep an end that could not be saved, and why, for the next flush; an end that was polled needs its lease."""
        watch = self._table.watches.get(step.watch.id)
        if watch is not None:
            self._unwritten_ends[watch.id] = _UnwrittenEnd(step, polled)
            ending = replace(watch, unwritten=unwritten_end(step.watch, error))
            self._table.update(ending)
            self._on_change(ending)

    def _rebase(self, before: Watch, after: Watch) -> None:
        """Continue with the revision that a batch saved, and with observations made since."""
        current = self._table.watches.get(before.id)
        if current is not None and current.revision == before.revision:
            self._table.update(after if current is before else replace(current, revision=after.revision))


def _log(step: Step) -> None:
    for note in step.notes:
        # An outage is logged once, and not for each watch.
        outage = isinstance(note, AdvisoryBegan | AdvisoryEnded) and note.advisory is Advisory.UNREACHABLE
        if not outage:
            logger.warning("%s", note_text(note, step.watch))
