"""Background recording of ended watches in the history, with retries.

Recording never delays a poll or an end: the end is written first, and the triage brief is added to it later.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence

import anyio
from anyio.abc import TaskGroup

from tp_mcp.api.lenient import parsed
from tp_mcp.api.models import Execution
from tp_mcp.clock import Clock
from tp_mcp.errors import InputError, ReportError, StoreError, TpMcpError, TpNotFoundError
from tp_mcp.history.analysis import EndedExecutions, RunTests
from tp_mcp.history.build_under_test import watched_upgrade
from tp_mcp.jobs.pytest_run.execution_rule import EXECUTION_RULE, execution_id
from tp_mcp.jobs.upgrade.upgrade_rule import UPGRADE_RULE
from tp_mcp.triage.verdict import brief, rerun_words
from tp_mcp.watch.model.reading import Outcome
from tp_mcp.watch.model.watch import Watch, WatchState
from tp_mcp.watch.store import Store

logger = logging.getLogger(__name__)

BACKGROUND_REPORT_MAX_BYTES = 30_000_000
"""Limit of a report that is read in the background, in bytes."""

AT_ONCE = 2
"""Number of executions that are recorded at the same time."""

WAITING_MAX = 500
"""Number of ends that may wait for recording; a later look picks up the others."""

READ_SECONDS = 120.0
"""Time limit to record one execution, in seconds."""

BRIEF_WAIT_SECONDS = 3.0
"""Longest wait for the brief of an end, in seconds."""

LOOK_SECONDS = 600.0
LOOK_BACK_SECONDS = 3 * 24 * 3600.0
"""Age limit of the ends that a look picks up, in seconds."""

LOOK_LIMIT = 100
ATTEMPTS_MAX = 3

_WITHOUT_TESTS = frozenset({Outcome.LISTING, Outcome.NO_TEST_RAN})
"""Outcomes of runs without test results."""


class Recorder:
    """Records ended executions and upgrades, and adds a triage brief to the ends of runs."""

    def __init__(self, *, executions: EndedExecutions, store: Store, clock: Clock, task_group: TaskGroup) -> None:
        """Create a recorder.

        Args:
            executions: reads, analyses and records executions.
            store: store of the watches.
            clock: current time.
            task_group: task group for the recording.
        """
        self._executions = executions
        self._store = store
        self._clock = clock
        self._task_group = task_group
        self._limiter = anyio.CapacityLimiter(AT_ONCE)
        self._under_way: dict[str, anyio.Event] = {}
        self._attempts: dict[str, int] = {}

    def notice(self, watch: Watch) -> None:
        """Record a watch in the background if it has ended."""
        if not watch.state.ended or watch.server != self._executions.server:
            return
        if watch.spec.rule == UPGRADE_RULE:
            self._begin(watch.id, lambda: self._keep_upgrade(watch))
        elif _is_readable(watch) and (exec_id := execution_id(watch)) is not None:
            self._begin(watch.id, lambda: self._keep_execution(watch, exec_id))

    def saw(
        self,
        exec_id: int,
        principal: str,
        execution: Execution | None = None,
        tests: RunTests | None = None,
    ) -> None:
        """Record an ended execution that a caller has read, once; without `tests` its report is read."""
        self._begin(f"{exec_id} {principal}", lambda: self._keep_seen(exec_id, principal, execution, tests))

    async def briefed(self, watches: Sequence[Watch]) -> tuple[Watch, ...]:
        """Return watches with the briefs that are ready within `BRIEF_WAIT_SECONDS`."""
        reading = {watch.id: done for watch in watches if (done := self._under_way.get(watch.id)) is not None}
        if not reading:
            return tuple(watches)
        with anyio.move_on_after(BRIEF_WAIT_SECONDS):
            for done in reading.values():
                await done.wait()
        try:
            stored = {watch.id: watch for watch in await self._store.get_many(list(reading))}
        except StoreError as error:
            logger.info("Ends are reported without their briefs: %s", error)
            return tuple(watches)
        return tuple(stored.get(watch.id, watch) for watch in watches)

    async def look(self) -> None:
        """Record ended watches that were missed, for example after a killed process."""
        since = self._clock.now() - LOOK_BACK_SECONDS
        try:
            ended = await self._store.ended_since(self._executions.server, since=since, limit=LOOK_LIMIT)
            for watch in ended:
                if not await self._is_kept(watch):
                    self.notice(watch)
        except StoreError as error:
            logger.warning("Ended watches could not be looked up: %s", error)

    async def keep_looking(self) -> None:
        """Look every `LOOK_SECONDS`, until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(LOOK_SECONDS)

    async def _is_kept(self, watch: Watch) -> bool:
        if not _is_readable(watch):
            return True
        exec_id, principal = execution_id(watch), watch.owner.principal
        return exec_id is None or exec_id in await self._executions.history.known(
            self._executions.server, [exec_id], principal
        )

    def _begin(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        if name in self._under_way or self._attempts.get(name, 0) >= ATTEMPTS_MAX:
            return
        if len(self._under_way) >= WAITING_MAX:
            logger.info("%s is recorded later: too many watches ended at once", name)
            return
        self._under_way[name] = anyio.Event()
        self._task_group.start_soon(self._carry_out, name, work)

    async def _carry_out(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            async with self._limiter:
                with anyio.fail_after(READ_SECONDS):
                    await work()
        except (TpMcpError, TimeoutError) as error:
            # Repeating does not help if the report is missing or not a report.
            self._failed(name, for_good=isinstance(error, TpNotFoundError | ReportError | InputError))
            logger.info("The result of %s could not be recorded: %s", name, error)
        except Exception:
            self._failed(name)
            logger.exception("Recording the result of %s failed unexpectedly", name)
        finally:
            self._under_way.pop(name).set()

    def _failed(self, name: str, *, for_good: bool = False) -> None:
        self._attempts[name] = ATTEMPTS_MAX if for_good else self._attempts.get(name, 0) + 1
        if len(self._attempts) > WAITING_MAX:
            self._attempts.pop(next(iter(self._attempts)))

    async def _keep_upgrade(self, watch: Watch) -> None:
        upgrade = watched_upgrade(watch)
        if upgrade is not None:
            await self._executions.history.add_upgrade(upgrade)

    async def _keep_seen(
        self, exec_id: int, principal: str, execution: Execution | None, tests: RunTests | None
    ) -> None:
        executions = self._executions
        if exec_id in await executions.history.known(executions.server, [exec_id], principal):
            return
        if execution is None or tests is None:
            await executions.read(
                exec_id, principal=principal, execution=execution, max_bytes=BACKGROUND_REPORT_MAX_BYTES
            )
        else:
            await executions.analyse(exec_id, execution, tests, principal=principal)

    async def _keep_execution(self, watch: Watch, exec_id: int) -> None:
        principal = watch.owner.principal
        analysis = await self._executions.read(
            exec_id,
            principal=principal,
            execution=parsed(Execution, watch.last_answer),
            max_bytes=BACKGROUND_REPORT_MAX_BYTES,
        )
        parts = [brief(analysis.triage)]
        repeated = await self._executions.history.rerun_of(watch.server, watch.id)
        before = None if repeated is None else await self._executions.history.one(watch.server, repeated, principal)
        if before is not None:
            parts.insert(0, rerun_words(before, analysis.run.outcomes))
        text = " ".join(part for part in parts if part)
        if text:
            await self._store.amend(watch.id, text)


def _is_readable(watch: Watch) -> bool:
    """Return whether an ended watch belongs to an execution whose report has test results."""
    return (
        watch.spec.rule == EXECUTION_RULE
        and watch.state is WatchState.DONE
        and watch.outcome not in _WITHOUT_TESTS
        and watch.reading is not None
        and watch.reading.report_url is not None
    )
