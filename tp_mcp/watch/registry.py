"""The watches as tools use them: start, find, wait, cancel."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import anyio
from anyio.abc import TaskGroup
from pydantic import JsonValue

from tp_mcp.clock import Clock
from tp_mcp.errors import StoreError, TpError, TpMcpError, WatchError, WatchNotFoundError
from tp_mcp.watch.delivery.change_feed import ChangeFeed
from tp_mcp.watch.delivery.messages import inbox_entry
from tp_mcp.watch.delivery.waiting import Report, Until, wait_for_first
from tp_mcp.watch.lifecycle import state_machine
from tp_mcp.watch.model.chain import Chain
from tp_mcp.watch.model.spec import WatchSpec
from tp_mcp.watch.model.watch import Origin, Owner, Step, Watch, WatchState, new_watch_id
from tp_mcp.watch.polling.poller import Poller
from tp_mcp.watch.store import Store

logger = logging.getLogger(__name__)

LIST_LIMIT = 200
ENDED_KEPT_SECONDS = 14 * 24 * 3600.0
UNSEEN_KEPT_SECONDS = 30 * 24 * 3600.0
PURGE_SECONDS = 24 * 3600.0
DRAIN_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class Intent:
    """A watch to be made. Attributes as in `Watch`.

    If the same call was made already, the result is that call's watch, which has another id.
    """

    owner: Owner
    origin: Origin
    title: str
    job: str
    spec: WatchSpec
    baseline: JsonValue = None
    idempotency_key: str = ""
    chain: Chain | None = None
    kind: str = ""
    testbed: str = ""
    id: str = field(default_factory=new_watch_id)


@dataclass(frozen=True, slots=True)
class Accepted:
    """TP's answer that accepts a job, and the job's key, title and polling arguments if they follow from it."""

    answer: JsonValue
    job: str | None = None
    title: str | None = None
    spec_args: Mapping[str, JsonValue] | None = None


@dataclass(slots=True)
class _Attempt:
    """A watch that is being made. It finishes also if the caller leaves."""

    watch: Watch
    done: anyio.Event = field(default_factory=anyio.Event)
    caller_left: bool = False
    result: Watch | TpMcpError | None = None


class WatchRegistry:
    """Makes watches of one TP and finds them. Starts run in the task group, so that they outlive their calls."""

    def __init__(
        self,
        *,
        store: Store,
        poller: Poller,
        feed: ChangeFeed,
        clock: Clock,
        server: str,
        task_group: TaskGroup,
    ) -> None:
        self._store = store
        self._poller = poller
        self._feed = feed
        self._clock = clock
        self._server = server
        self._task_group = task_group
        self._under_way: set[anyio.Event] = set()  # starts without an answer yet

    def looks_at(self, watch: Watch) -> bool:
        """Return whether a watch belongs to the configured TP, so that this process may poll it."""
        return watch.server == self._server

    async def resume(self) -> int:
        """Poll every watch that an earlier process left; return their number.

        A crash leaves a row in state `starting`: reading settles whether TP has its job.
        """
        await self._purge()
        watches = await self._store.unended(self._server)
        # While no process polled, TP may have answered or not: its silence counts from the first poll.
        self._poller.resume([replace(watch, silent_since=None) for watch in watches])
        return len(watches)

    async def keep_purging(self) -> None:
        """Drop old watches once a day, until it is cancelled: a server may run for months."""
        while True:
            await self._clock.sleep(PURGE_SECONDS)
            await self._purge()

    async def start(self, intent: Intent, send: Callable[[], Awaitable[Accepted]]) -> Watch:
        """Start a job and watch it: save the watch, then send the one request, also if the caller leaves.

        Returns the watch: `active`, or `starting` if TP never answered and reading has to settle it. If the same call
        was made already, that call's watch, with another id than the intent's; then nothing was sent.

        Raises:
            TpError: TP refused, or was not reached; nothing was started. The refusal is in the inbox too, for a caller
                who has left.
            StoreError: the intent could not be saved; nothing was sent.
            WatchLimitError: there are too many watches; nothing was sent.
        """
        attempt = _Attempt(self._new(intent, WatchState.STARTING))
        return await self._outlasting(attempt, lambda: self._start(attempt, send))

    async def observe(self, intent: Intent) -> Watch:
        """Watch a job that somebody else started; if the same call was made already, return its watch.

        Raises StoreError or WatchLimitError as `start` does.
        """
        new = self._new(intent, WatchState.ACTIVE)
        attempt = _Attempt(replace(new, started_at=new.created_at, lively_at=new.created_at))
        return await self._outlasting(attempt, lambda: self._observe(attempt))

    async def repeated(self, owner: Owner, key: str) -> Watch | None:
        """Return the watch of the same call, if that was made already and answers this one.

        `start` and `observe` decide again in the transaction that saves; this allows a check before any work is done.
        """
        same = await self._store.repeated(owner, server=self._server, key=key, now=self._clock.now())
        return None if same is None else self._latest(same)

    async def get(self, watch_id: str, owner: Owner) -> Watch:
        """Return one of a principal's watches.

        Raises WatchNotFoundError if there is none with this id, or it is another principal's; the answer is the same.
        """
        watch = self._poller.current(watch_id) or await self._store.get(watch_id)
        if watch is None or watch.owner.principal != owner.principal:
            raise _not_found(watch_id)
        return watch

    async def list(
        self,
        owner: Owner,
        *,
        all_conversations: bool,
        states: Sequence[WatchState] = tuple(WatchState),
        about: str | None = None,
    ) -> tuple[Watch, ...]:
        """Return at most `LIST_LIMIT` watches, the newest first.

        They belong to the owner's conversation, or to all of its principal. `about` is a job, a testbed, or the id of a
        later step of their chain; None for all.
        """
        keys = (None,) if all_conversations else owner.keys
        stored: list[Watch] = []
        for key in keys:
            stored += await self._store.of_owner(
                owner.principal, conversation=key, states=states, limit=LIST_LIMIT, about=about
            )
        newest = sorted(stored, key=lambda watch: -watch.created_at)[:LIST_LIMIT]
        return tuple(self._latest(watch) for watch in newest)

    async def cancel(self, watch_id: str, owner: Owner, *, reason: str) -> Watch:
        """Stop watching; the job goes on. A watch that has ended is returned as it is. Errors as in `get`."""
        await self.get(watch_id, owner)
        # The watch in memory may be older than a row that another process, or a poll in progress, has just saved.
        while (watch := await self._store.get(watch_id)) is not None and not watch.state.ended:
            step = state_machine.cancel(watch, reason=reason, now=self._clock.now())
            if (watch := await self._store.save(step.watch)) is not None:
                break
        self._poller.remove(watch_id)
        if watch is None:
            raise _not_found(watch_id)
        self._feed.publish(watch)
        return watch

    async def hand_over(self, watch_id: str, to: Owner) -> Watch:
        """Move a watch, and its end unless that was seen, to a conversation of its principal. Errors as in `get`."""
        watch = await self._store.hand_over(watch_id, to)
        if watch is None:
            raise _not_found(watch_id)
        if self._poller.current(watch_id) is not None:
            # The poller saves the end with the owner that it knows.
            self._poller.add(watch, resumed=True)
        return watch

    async def wait(self, watch_id: str, owner: Owner, *, seconds: float, report: Report | None = None) -> Watch:
        """Return a watch when it has ended, or after `seconds`."""
        [watch] = await self.wait_for_first([watch_id], owner, seconds=seconds, report=report)
        return watch

    async def wait_for_first(
        self,
        watch_ids: Sequence[str],
        owner: Owner,
        *,
        seconds: float,
        until: Until = Until.TERMINAL,
        report: Report | None = None,
    ) -> tuple[Watch, ...]:
        """Return watches when the first has ended or met `until`, or after `seconds`. Errors as in `get`."""
        return await wait_for_first(
            watch_ids,
            lambda watch_id: self.get(watch_id, owner),
            feed=self._feed,
            clock=self._clock,
            seconds=seconds,
            until=until,
            report=report,
        )

    async def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Wait for the answers to starts in progress. Reading settles a start that is cut off."""
        with anyio.move_on_after(seconds):
            for done in tuple(self._under_way):
                await done.wait()

    async def _outlasting(self, attempt: _Attempt, work: Callable[[], Awaitable[Watch | TpMcpError]]) -> Watch:
        """Do the work of an attempt in a task of its own, which continues if the caller leaves."""

        async def carry_out() -> None:
            try:
                attempt.result = await work()
            except TpMcpError as error:
                attempt.result = error
            except Exception:
                logger.exception("Making %s failed unexpectedly", attempt.watch.id)
                attempt.result = TpError(
                    "The watch could not be made for an internal reason; see the server's log.", may_have_acted=True
                )
            finally:
                attempt.done.set()
                self._under_way.discard(attempt.done)

        self._under_way.add(attempt.done)
        self._task_group.start_soon(carry_out)
        try:
            await attempt.done.wait()
        finally:
            attempt.caller_left = not attempt.done.is_set()
        if isinstance(attempt.result, Watch):
            return attempt.result
        raise attempt.result or TpError(
            f"The server closed before TP answered the start of {attempt.watch.id}.",
            remedy="It is not known whether it started; the server finds out by reading when it runs again.",
            may_have_acted=True,
        )

    async def _observe(self, attempt: _Attempt) -> Watch:
        same = await self._store.add(attempt.watch)
        if same is not None:
            return self._latest(same)
        self._poller.add(attempt.watch, resumed=True)
        return attempt.watch

    async def _start(self, attempt: _Attempt, send: Callable[[], Awaitable[Accepted]]) -> Watch | TpMcpError:
        watch = attempt.watch
        if watch.spec.history:
            watch = replace(watch, usual=await self._store.usual(self._server, watch.spec.history))
        same = await self._store.add(watch)
        if same is not None:
            return self._latest(same)
        if attempt.caller_left:
            return await self._refused(watch, WatchError("The call was cancelled before anything was sent to TP."))
        try:
            accepted = await send()
        except TpMcpError as error:
            if isinstance(error, TpError) and error.may_have_acted:
                return await self._unanswered(watch, error)
            return await self._refused(watch, error)
        except Exception:
            logger.exception("Starting %s failed unexpectedly", watch.id)
            unknown = TpError("The start failed for an internal reason; see the server's log.", may_have_acted=True)
            return await self._unanswered(watch, unknown)
        accepted_watch = replace(
            watch,
            job=accepted.job or watch.job,
            title=accepted.title or watch.title,
            spec=watch.spec if accepted.spec_args is None else replace(watch.spec, args=accepted.spec_args),
        )
        return await self._written(
            watch, state_machine.accept(accepted_watch, answer=accepted.answer, now=self._clock.now())
        )

    async def _unanswered(self, watch: Watch, error: TpError) -> Watch:
        logger.warning("%s: TP gave no answer to the start; it is settled by reading: %s", watch.id, error)
        return await self._written(watch, state_machine.leave_open(watch, error))

    async def _refused(self, watch: Watch, error: TpMcpError) -> TpMcpError:
        await self._written(watch, state_machine.refuse(watch, reason=str(error), now=self._clock.now()))
        return error

    async def _written(self, before: Watch, step: Step) -> Watch:
        """Save the transition that TP's answer to a start caused, and poll the watch; return it afterwards."""
        watch = step.watch
        try:
            # Another process may have settled the start by reading: TP's answer outweighs that. Only an end, such as a
            # cancellation, stays.
            while (saved := await self._store.save(watch, inbox_entry(step))) is None:
                stored = await self._store.get(watch.id)
                if stored is None or stored.state.ended:
                    return stored or watch
                step = step.on(stored)
                watch = step.watch
        except StoreError as error:
            # The watch continues in memory, and the next flush tries to save it again. If the process dies before,
            # reading settles the row in state `starting`.
            logger.warning("%s could not be written: %s", watch.id, error)
            if watch.state.ended:
                self._poller.add(replace(before, revision=watch.revision, owner=watch.owner), unwritten_end=step)
            else:
                self._poller.add(watch)
            return watch
        self._poller.add(saved)
        self._feed.publish(saved)
        return saved

    async def _purge(self) -> None:
        now = self._clock.now()
        try:
            await self._store.purge(ended_before=now - ENDED_KEPT_SECONDS, unseen_before=now - UNSEEN_KEPT_SECONDS)
        except StoreError as error:
            # For example a full disk, which does not stop watching.
            logger.warning("Old watches could not be dropped: %s", error)

    def _new(self, intent: Intent, state: WatchState) -> Watch:
        return Watch(
            id=intent.id,
            owner=intent.owner,
            server=self._server,
            origin=intent.origin,
            title=intent.title,
            job=intent.job,
            spec=intent.spec,
            state=state,
            created_at=self._clock.now(),
            baseline=intent.baseline,
            idempotency_key=intent.idempotency_key,
            chain=intent.chain,
            kind=intent.kind,
            testbed=intent.testbed,
        )

    def _latest(self, stored: Watch) -> Watch:
        # With the observations that are not saved yet.
        return self._poller.current(stored.id) or stored


def _not_found(watch_id: str) -> WatchNotFoundError:
    return WatchNotFoundError(f"There is no watch {watch_id!r}.", remedy="list_watches shows the watches there are.")


async def end_abandoned(store: Store, is_gone: Callable[[str], bool], *, reason: str, now: float) -> int:
    """End every watch whose TP, by its base URL, is gone for good, with an inbox entry; return their number.

    `reason` is a sentence. Raises StoreError if the store cannot be used.
    """
    ended = 0
    for watch in await store.unended(None):
        if is_gone(watch.server):
            step = state_machine.lose(watch, reason=reason, now=now)
            # Not counted if another process was quicker.
            ended += await store.save(step.watch, inbox_entry(step)) is not None
    return ended
