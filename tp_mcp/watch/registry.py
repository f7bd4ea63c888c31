"""Watches, as tools see them: made, found, waited for, cancelled."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import anyio
from anyio.abc import TaskGroup
from pydantic import JsonValue

from tp_mcp.clock import Clock
from tp_mcp.errors import StoreError, TpError, TpMcpError, WatchNotFoundError
from tp_mcp.watch import machine
from tp_mcp.watch.owner import Owner
from tp_mcp.watch.poller import Poller
from tp_mcp.watch.ports import Store
from tp_mcp.watch.spec import WatchSpec
from tp_mcp.watch.states import Origin, Watch, WatchState, new_watch_id
from tp_mcp.watch.waiting import Changes

logger = logging.getLogger(__name__)

LIST_LIMIT = 200
ENDED_KEPT_SECONDS = 14 * 24 * 3600.0
UNSEEN_KEPT_SECONDS = 30 * 24 * 3600.0
HEARTBEAT_SECONDS = 10.0
DRAIN_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class Intent:
    """A watch that is about to be made. Attributes as of `Watch`."""

    owner: Owner
    origin: Origin
    title: str
    job: str
    spec: WatchSpec
    baseline: JsonValue = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """TP accepted a job.

    Attributes:
        answer: TP's own answer.
        job: the job's key, where only the answer could tell it.
        title: what is watched, likewise.
        spec_args: the arguments to poll with, likewise.

    """

    answer: JsonValue
    job: str | None = None
    title: str | None = None
    spec_args: Mapping[str, JsonValue] | None = None


@dataclass(slots=True)
class _Attempt:
    """One start on its way. It is not the caller's: a caller who goes away leaves it to finish."""

    done: anyio.Event = field(default_factory=anyio.Event)
    caller_left: bool = False
    watch: Watch | None = None
    error: TpMcpError | None = None


class WatchRegistry:
    """Makes watches and finds them again."""

    def __init__(
        self, *, store: Store, poller: Poller, changes: Changes, clock: Clock, server: str, task_group: TaskGroup
    ) -> None:
        """Prepare.

        Args:
            store: where watches are kept.
            poller: polls them.
            changes: tells who waits that a watch changed.
            clock: the time.
            server: the base URL of the TP that this process watches.
            task_group: where starts run, so that they outlive the call that asked for them.

        """
        self._store = store
        self._poller = poller
        self._changes = changes
        self._clock = clock
        self._server = server
        self._task_group = task_group
        self._under_way: set[anyio.Event] = set()

    async def resume(self) -> int:
        """Take up every watch that an earlier process left; return how many.

        A row still in state `starting` is what a crash leaves behind: whether TP has its job is settled by reading.
        """
        now = self._clock.now()
        await self._store.purge(ended_before=now - ENDED_KEPT_SECONDS, unseen_before=now - UNSEEN_KEPT_SECONDS)
        watches = await self._store.unended(self._server)
        for watch in watches:
            self._poller.add(watch, resumed=True)
        return len(watches)

    async def start(self, intent: Intent, send: Callable[[], Awaitable[Accepted]]) -> Watch:
        """Start a job and watch it. The request is sent once, and never interrupted by the caller's leaving.

        Args:
            intent: what is about to be started; written before anything is sent.
            send: sends the one request.

        Returns:
            The watch: `active`, or `starting` where TP never answered and reading has to tell.

        Raises:
            TpError: TP refused, or was not reached; nothing was started.
            StoreError: the intent could not be written; nothing was sent.
            WatchLimitError: there are too many watches; nothing was sent.

        """
        watch = self._new(intent, WatchState.STARTING)
        await self._store.add(watch)
        attempt = _Attempt()
        self._under_way.add(attempt.done)
        self._task_group.start_soon(self._send, watch, send, attempt)
        try:
            await attempt.done.wait()
        finally:
            attempt.caller_left = not attempt.done.is_set()
        if attempt.error is not None:
            raise attempt.error
        assert attempt.watch is not None, "an attempt ends with a watch or an error"  # noqa: S101 -- narrows the type
        return attempt.watch

    async def observe(self, intent: Intent) -> Watch:
        """Watch a job that somebody else started.

        Raises:
            StoreError: it could not be written.
            WatchLimitError: there are too many watches.

        """
        new = self._new(intent, WatchState.ACTIVE)
        watch = replace(new, started_at=new.created_at, lively_at=new.created_at)
        await self._store.add(watch)
        self._poller.add(watch, resumed=True)
        return watch

    async def get(self, watch_id: str, owner: Owner) -> Watch:
        """Return one of a principal's watches.

        Raises:
            WatchNotFoundError: there is none with this id, or it is another principal's; the answer is the same.

        """
        watch = self._poller.current(watch_id) or await self._store.get(watch_id)
        if watch is None or watch.owner.principal != owner.principal:
            raise WatchNotFoundError(
                f"There is no watch {watch_id!r}.", remedy="list_watches shows the watches there are."
            )
        return watch

    async def list(
        self, owner: Owner, *, all_conversations: bool, states: Sequence[WatchState] = tuple(WatchState)
    ) -> tuple[Watch, ...]:
        """Return a principal's watches, newest first: this conversation's, or all; at most `LIST_LIMIT`."""
        conversation = None if all_conversations else owner.conversation
        stored = await self._store.of_owner(owner.principal, conversation=conversation, states=states, limit=LIST_LIMIT)
        return tuple(self._poller.current(watch.id) or watch for watch in stored)

    async def cancel(self, watch_id: str, owner: Owner, *, reason: str) -> Watch:
        """Stop watching; the job goes on. A watch that has ended is returned as it is.

        Raises:
            WatchNotFoundError: there is no such watch.

        """
        while True:
            watch = await self.get(watch_id, owner)
            if watch.state.ended:
                return watch
            step = machine.cancel(watch, reason=reason, now=self._clock.now())
            saved = await self._store.save(step.watch)
            self._poller.remove(watch_id)
            if saved is not None:
                self._changes.tell(saved)
                return saved
            # Written by another process meanwhile, or by a poll that was under way: look again.

    async def wait(
        self,
        watch_id: str,
        owner: Owner,
        *,
        seconds: float,
        report: Callable[[Watch], Awaitable[None]] | None = None,
    ) -> Watch:
        """Return a watch when it has ended, or as it stands after `seconds`.

        Args:
            watch_id: which watch.
            owner: who asks.
            seconds: how long to wait at most.
            report: called at once and then every `HEARTBEAT_SECONDS`, and when the watch changed.

        Raises:
            WatchNotFoundError: there is no such watch.

        """
        deadline = self._clock.now() + seconds
        while True:
            with self._changes.of(watch_id) as changed:
                watch = await self.get(watch_id, owner)
                if watch.state.ended:
                    return watch
                if report is not None:
                    await report(watch)
                left = deadline - self._clock.now()
                if left <= 0:
                    return watch
                await changed.wait(min(left, HEARTBEAT_SECONDS), self._clock)

    async def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Give starts that are on their way the time to be answered. A start that is cut off is settled later."""
        with anyio.move_on_after(seconds):
            for done in tuple(self._under_way):
                await done.wait()

    async def _send(self, watch: Watch, send: Callable[[], Awaitable[Accepted]], attempt: _Attempt) -> None:
        try:
            accepted = await send()
        except TpMcpError as error:
            await self._not_accepted(watch, error, attempt)
        except Exception:
            logger.exception("Starting %s failed unexpectedly", watch.id)
            unknown = TpError("The start failed for an internal reason; see the server's log.", may_have_acted=True)
            await self._not_accepted(watch, unknown, attempt)
        else:
            told = replace(
                watch,
                job=accepted.job or watch.job,
                title=accepted.title or watch.title,
                spec=watch.spec if accepted.spec_args is None else replace(watch.spec, args=accepted.spec_args),
            )
            active = machine.accept(told, answer=accepted.answer, now=self._clock.now()).watch
            attempt.watch = await self._saved(active)
            self._poller.add(attempt.watch)
        finally:
            attempt.done.set()
            self._under_way.discard(attempt.done)

    async def _not_accepted(self, watch: Watch, error: TpMcpError, attempt: _Attempt) -> None:
        if isinstance(error, TpError) and error.may_have_acted:
            logger.warning("%s: TP gave no answer to the start; it is settled by reading: %s", watch.id, error)
            attempt.watch = await self._saved(replace(watch, reason=str(error)))
            self._poller.add(attempt.watch)
            return
        attempt.error = error
        step = machine.refuse(watch, reason=str(error), now=self._clock.now(), tell=attempt.caller_left)
        try:
            await self._store.save(step.watch, step.entry)
        except StoreError as failure:
            logger.warning("%s could not be written: %s", watch.id, failure)

    async def _saved(self, watch: Watch) -> Watch:
        try:
            saved = await self._store.save(watch)
        except StoreError as error:
            # TP has the job: it is watched from memory, and the next poll tries to write it again. Should the process
            # die before that, the row in state `starting` is settled by reading.
            logger.warning("%s could not be written: %s", watch.id, error)
            return watch
        return saved or await self._store.get(watch.id) or watch

    def _new(self, intent: Intent, state: WatchState) -> Watch:
        return Watch(
            id=new_watch_id(),
            owner=intent.owner,
            server=self._server,
            origin=intent.origin,
            title=intent.title,
            job=intent.job,
            spec=intent.spec,
            state=state,
            created_at=self._clock.now(),
            baseline=intent.baseline,
        )
