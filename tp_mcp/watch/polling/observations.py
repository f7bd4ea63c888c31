"""What polls make of the watches of this process: kept in memory, written, told."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import anyio

from tp_mcp.clock import Clock
from tp_mcp.errors import StoreError, TpError
from tp_mcp.watch.delivery.messages import unwritten_end
from tp_mcp.watch.model.watch import Step, Watch, WatchState
from tp_mcp.watch.polling.interpretation import Answer, Looking
from tp_mcp.watch.polling.outage import Outage
from tp_mcp.watch.store import Store

logger = logging.getLogger(__name__)


async def taken_by_others(store: Store, watch: Watch) -> frozenset[str]:
    """Return the jobs that cannot be a watch's own, because TP accepted them for others; of an open start only.

    Raises:
        StoreError: the store cannot tell.

    """
    if watch.state is not WatchState.STARTING:
        return frozenset()
    return await store.jobs_started(watch.server, since=watch.created_at, but_for=watch.id)


FLUSH_SECONDS = 15.0
FLUSHED_AT_ONCE = 100
"""How many watches one batch of counters writes: an end that comes meanwhile waits for no more than that."""


class Polling(Protocol):
    """Who polls the watches."""

    def add(self, watch: Watch) -> None:
        """Poll a watch as it stands now."""
        ...

    def remove(self, watch_id: str) -> None:
        """Poll a watch no longer."""
        ...

    def lost(self, watch_id: str) -> None:
        """Take in that the store refused what was polled for a watch: another process polls it now."""
        ...


@dataclass(frozen=True, slots=True)
class _UnwrittenEnd:
    """An end that is known and could not be written; `polled` where it needs the lease under which it was seen."""

    step: Step
    polled: bool


class Intake:
    """The watches that are polled here.

    A poll that changes nothing of substance writes nothing; counters go to the store in batches. An end shows only once
    it is written.
    """

    def __init__(
        self,
        *,
        store: Store,
        looking: Looking,
        clock: Clock,
        outage: Outage,
        on_change: Callable[[Watch], None],
        polling: Polling,
        leased: bool,
    ) -> None:
        """Prepare.

        Args:
            store: where watches are kept.
            looking: tells what answers mean.
            clock: the time.
            outage: what is known of TP's absence.
            on_change: told of each watch that was polled or written.
            polling: who polls the watches.
            leased: whether what comes of a poll is written under the epoch of a lease only.

        """
        self._store = store
        self._looking = looking
        self._clock = clock
        self._outage = outage
        self._on_change = on_change
        self._polling = polling
        self._leased = leased
        self._watches: dict[str, Watch] = {}
        self._unwritten: set[str] = set()
        self._unwritten_ends: dict[str, _UnwrittenEnd] = {}
        self._flushed_at = clock.now()

    @property
    def watches(self) -> Mapping[str, Watch]:
        """The watches by id, as they stand."""
        return self._watches

    @property
    def flush_at(self) -> float | None:
        """When what is not written is to be written; None where there is nothing."""
        return self._flushed_at + FLUSH_SECONDS if self._unwritten or self._unwritten_ends else None

    def begin(self, watch: Watch, *, end: Step | None = None) -> None:
        """Take a watch up; `end` is that of a start that was refused, where it could not be written."""
        self._watches[watch.id] = watch
        if end is not None:
            self._keep_end(end, polled=False)

    def forget(self, watch_id: str) -> None:
        """Let go of a watch."""
        self._watches.pop(watch_id, None)
        self._unwritten.discard(watch_id)
        self._unwritten_ends.pop(watch_id, None)

    async def take_in(self, watch_ids: Collection[str], outcome: Answer | TpError, epoch: int) -> None:
        """Take one answer in on several watches; what has to be written at once is written together."""
        durable = {watch_id: step for watch_id in watch_ids if (step := self._took_in_at_once(watch_id, outcome))}
        if len(durable) == 1:
            [(watch_id, step)] = durable.items()
            await self._take_in_durably(watch_id, outcome, epoch, step)
        elif durable:
            # The store puts writes that wait together into one transaction.
            async with anyio.create_task_group() as tasks:
                for watch_id, step in durable.items():
                    tasks.start_soon(self._take_in_durably, watch_id, outcome, epoch, step)

    async def take_in_silence(self, watch_id: str, failure: TpError, epoch: int) -> None:
        """Take in that TP is away, on a watch that was not polled itself."""
        watch = self._watches[watch_id]
        step = self._looking.step(watch, failure, self._clock.now())
        if step.watch.state.ended:
            await self.take_in([watch_id], failure, epoch)
        elif step.watch != watch:
            self._outage.told.add(watch_id)
            self._keep(step)

    def adopt(self, watch_id: str, stands: Watch | None) -> None:
        """Go on with a watch as it stands in the store; None where its row is gone."""
        before = self._watches.get(watch_id)
        if before is None:
            return
        self._unwritten.discard(watch_id)
        if stands is None or stands.state.ended:
            self._polling.remove(watch_id)
        elif stands.state is before.state:
            self._watches[watch_id] = stands
        else:
            self._polling.add(stands)
        if stands is not None:
            self._on_change(stands)

    async def flush(self, epoch_of: Callable[[str], int | None]) -> None:
        """Write what only moved in memory, and ends that could not be written.

        Args:
            epoch_of: under which lease a watch is polled here; None where it is not.

        """
        self._flushed_at = self._clock.now()
        for watch_id in sorted(self._unwritten_ends):
            # While one is written, another may be given up.
            if watch_id in self._unwritten_ends:
                await self._write_end(watch_id, epoch_of(watch_id))
        # What was counted for a target that another process took meanwhile is that process's to count.
        held = [watch_id for watch_id in sorted(self._unwritten) if epoch_of(watch_id) is not None]
        self._unwritten.intersection_update(held)
        for begin in range(0, len(held), FLUSHED_AT_ONCE):
            # What ended meanwhile is written.
            moved = [watch_id for watch_id in held[begin : begin + FLUSHED_AT_ONCE] if watch_id in self._unwritten]
            if moved and not await self._flush_some([self._watches[watch_id] for watch_id in moved]):
                return

    async def _flush_some(self, batch: Sequence[Watch]) -> bool:
        """Write some watches; return False where that cannot be."""
        self._unwritten.difference_update(watch.id for watch in batch)
        try:
            for before, after in zip(batch, await self._store.save_all(batch), strict=True):
                if after is None:
                    self.adopt(before.id, await self._store.get(before.id))
                else:
                    self._take_over(before, after)
        except StoreError as error:
            unwritten = self._unwritten.union(watch.id for watch in batch)
            self._unwritten.update(watch_id for watch_id in unwritten if watch_id in self._watches)
            logger.warning("Progress of %d watches could not be written: %s", len(unwritten), error)
            return False
        return True

    def _took_in_at_once(self, watch_id: str, outcome: Answer | TpError) -> Step | None:
        """Take an answer in where nothing has to be written for it; else return the step that has to be."""
        watch = self._watches.get(watch_id)
        if watch is None or watch_id in self._unwritten_ends:
            return None
        step = self._looking.step(watch, outcome, self._clock.now())
        if step.durable or watch.state is WatchState.STARTING:
            return step
        self._tell(watch, step, outcome)
        self._keep(step)
        return None

    async def _take_in_durably(self, watch_id: str, outcome: Answer | TpError, epoch: int, first: Step) -> None:
        """Take an answer in, again on the watch as it stands in the store where somebody else wrote it meanwhile."""
        step: Step | None = first
        while (watch := self._watches.get(watch_id)) is not None:
            if step is None or watch.state is WatchState.STARTING:
                try:
                    taken = await taken_by_others(self._store, watch)
                except StoreError as error:
                    logger.warning("%s cannot be settled yet: %s", watch_id, error)
                    return
                step = self._looking.step(watch, outcome, self._clock.now(), taken=taken)
            if step.watch is watch:
                return
            self._tell(watch, step, outcome)
            if not step.durable:
                self._keep(step)
                return
            try:
                saved = await self._store.save(step.watch, step.entry, epoch=epoch if self._leased else None)
                stands = await self._store.get(watch_id) if saved is None else saved
            except StoreError as error:
                logger.warning("%s could not be written: %s", watch_id, error)
                self._keep(step, error)
                return
            self.adopt(watch_id, stands)
            if saved is not None:
                return
            if stands is not None and stands.revision == watch.revision:
                # Nobody wrote it and the store refused it all the same: the lease is another process's.
                self._polling.lost(watch_id)
                return
            step = None

    async def _write_end(self, watch_id: str, epoch: int | None) -> None:
        end = self._unwritten_ends[watch_id]
        step = end.step
        if end.polled and epoch is None:
            # Another process polls it by now, and sees the end itself.
            del self._unwritten_ends[watch_id]
            self._watches[watch_id] = replace(self._watches[watch_id], unwritten="")
            return
        try:
            while True:
                saved = await self._store.save(
                    step.watch, step.entry, epoch=epoch if end.polled and self._leased else None
                )
                stands = await self._store.get(watch_id) if saved is None else saved
                if saved is not None or end.polled or stands is None or stands.state.ended:
                    break
                # What TP answered to a start counts for more than what was read of it elsewhere.
                step = step.on(stands)
        except StoreError as error:
            logger.warning("The end of %s could not be written: %s", watch_id, error)
            self._keep_end(step, polled=end.polled, error=error)
            return
        # Where somebody else wrote it meanwhile, the next poll of it tells the end again.
        self._unwritten_ends.pop(watch_id, None)
        self.adopt(watch_id, stands)

    def _tell(self, watch: Watch, step: Step, outcome: Answer | TpError) -> None:
        for note in self._outage.notes(watch, step, outcome):
            logger.warning("%s", note)

    def _keep(self, step: Step, error: StoreError | None = None) -> None:
        """Keep in memory what is not written yet."""
        watch = step.watch
        if watch.id not in self._watches:
            return
        if watch.state.ended:
            self._keep_end(step, polled=True, error=error)
            return
        self._watches[watch.id] = watch
        self._unwritten.add(watch.id)
        self._on_change(watch)

    def _keep_end(self, step: Step, *, polled: bool, error: StoreError | None = None) -> None:
        watch_id = step.watch.id
        if watch_id in self._watches:
            self._unwritten_ends[watch_id] = _UnwrittenEnd(step, polled)
            self._watches[watch_id] = replace(self._watches[watch_id], unwritten=unwritten_end(step.watch, error))
            self._on_change(self._watches[watch_id])

    def _take_over(self, before: Watch, after: Watch) -> None:
        """Go on with the revision that a batch wrote, whatever a poll observed in the meantime."""
        stands = self._watches.get(before.id)
        if stands is not None and stands.revision == before.revision:
            self._watches[before.id] = after if stands is before else replace(stands, revision=after.revision)
