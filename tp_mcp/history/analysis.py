"""Analysis of ended executions: tests, failure clusters, build under test, earlier executions and notes."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Self

import anyio.to_thread

from tp_mcp.api.client import TpClient
from tp_mcp.api.models import Execution
from tp_mcp.clock import Clock
from tp_mcp.errors import InputError, InvalidArgumentError, ReportError, TpError, TpMcpError, TpNotFoundError
from tp_mcp.history.build_under_test import shown_upgrade
from tp_mcp.history.records import History, Note, Run
from tp_mcp.history.report_cache import ReportCache
from tp_mcp.jobs.pytest_run.execution_rule import DONE, ENDED_OTHERWISE, lab_words
from tp_mcp.jobs.pytest_run.pytest_kind import look_at_execution
from tp_mcp.jobs.tp_reader import read_execution
from tp_mcp.results.kept_logs import KeptLog, KeptLogs
from tp_mcp.results.text import echoed
from tp_mcp.triage.clusters import Cluster, clusters_of
from tp_mcp.triage.log_summary import read_summary
from tp_mcp.triage.recurrence import EXECUTIONS_LOOKED_AT, EarlierExecution, outcomes_by_test
from tp_mcp.triage.report_parser import REPORT_MAX_BYTES, Report
from tp_mcp.triage.test_report import ReportedTest
from tp_mcp.triage.verdict import Triage


@dataclass(frozen=True, slots=True)
class RunTests:
    """The tests of an ended execution.

    Attributes:
        tests: one row each.
        source: "report", or "log" for the short summary at the end of the log, which usually names only failures.
        problem: reason for using the log, as the beginning of a sentence; empty for a report.
        complete: False if the source was cut off or rows of it were left out.
        left_out: number of unreadable rows of the report.
        log_size: size of the kept log, in bytes; None if it was not used.
        log_unknown: number of bytes of that log that TP never showed or that were not kept.
    """

    tests: tuple[ReportedTest, ...] = field(repr=False)
    source: Literal["report", "log"] = "report"
    problem: str = ""
    complete: bool = True
    left_out: int = 0
    log_size: int | None = None
    log_unknown: int = 0

    @classmethod
    def of(cls, report: Report) -> Self:
        """Return the tests of a report."""
        return cls(report.tests, complete=report.left_out == 0, left_out=report.left_out)

    @property
    def log_words(self) -> str:
        """Return the known part of the log, as a sentence with a leading blank; empty if it was not used."""
        if self.log_size is None:
            return ""
        if self.log_unknown:
            return f" Of the {self.log_size:,} bytes of its log {self.log_unknown:,} are not known."
        return f" All {self.log_size:,} bytes of its log are known."


@dataclass(frozen=True, slots=True)
class Analysis:
    """An analysed execution.

    Attributes:
        execution: TP's row of it.
        run: its record in the history.
        tests: its tests.
        triage: its failures by reason, compared with earlier executions.
        notes: the principal's notes, by signature id.
        now: time of the analysis, in seconds since the epoch.
    """

    execution: Execution
    run: Run
    tests: RunTests
    triage: Triage
    notes: Mapping[str, Note]
    now: float

    def note_on(self, cluster: Cluster) -> Note | None:
        """Return the note on one of a cluster's signatures."""
        found = (self.notes.get(signature.id) for signature in cluster.signatures)
        return next((note for note in found if note is not None), None)

    def is_known(self, cluster: Cluster) -> bool:
        """Return whether a valid note covers a cluster."""
        note = self.note_on(cluster)
        return note is not None and note.holds(build=self.run.build, now=self.now)

    def cluster(self, name: str) -> Cluster:
        """Return the cluster with a signature id.

        Raises:
            InvalidArgumentError: no cluster has it; the error lists the existing ones.
        """
        for cluster in self.triage.clusters:
            if name in {signature.id for signature in cluster.signatures}:
                return cluster
        there_are = ", ".join(cluster.id for cluster in self.triage.clusters) or "none, because nothing failed"
        raise InvalidArgumentError(
            f"cluster is {echoed(name, 40)!r}, which execution {self.run.exec_id} does not have.",
            remedy=f"Its clusters are: {there_are}.",
        )


@dataclass(frozen=True, slots=True)
class EndedExecutions:
    """Reads and analyses ended executions of one TP, and records them in the history.

    Attributes:
        client: client of TP.
        history: history of analysed executions, with notes.
        logs: kept logs of executions.
        reports: cache of reports.
        clock: current time.
        server: base URL of TP.
        client_of: returns the client with a principal's login; None if `client` serves all principals.
    """

    client: TpClient
    history: History
    logs: KeptLogs
    reports: ReportCache
    clock: Clock
    server: str
    client_of: Callable[[str], Awaitable[TpClient]] | None = None

    async def report(
        self, exec_id: int, execution: Execution, *, principal: str, max_bytes: int = REPORT_MAX_BYTES
    ) -> Report:
        """Return the report of an ended execution, fetched once for a principal.

        Raises:
            InputError: TP shows no report, or a path outside TP.
            TpError: the report could not be fetched.
            ReportError: the report could not be parsed.
        """
        return await self.reports.read(exec_id, execution, client=self.client, principal=principal, max_bytes=max_bytes)

    async def tests(self, exec_id: int, execution: Execution, *, principal: str) -> RunTests:
        """Return the tests of an ended execution, from its log if it has no readable report."""
        try:
            return RunTests.of(await self.report(exec_id, execution, principal=principal))
        except (InputError, TpError, ReportError) as error:
            admitted = await self.logs.admits(exec_id, principal)
            log = await self.logs.get(exec_id) if admitted else None
            return await read_log_tests(execution, error, log)

    async def read(
        self,
        exec_id: int,
        *,
        principal: str,
        execution: Execution | None = None,
        max_bytes: int = REPORT_MAX_BYTES,
    ) -> Analysis:
        """Analyse an ended execution from its report, with the principal's login.

        Raises:
            InputError: TP shows no report, or a path outside TP.
            ReportError: the execution has not ended, or its report cannot be parsed.
            TpError: TP did not return the execution or its report.
            StoreError: the history cannot be used.
        """
        if self.client_of is not None:
            reader = replace(self, client=await self.client_of(principal), client_of=None)
            return await reader.read(exec_id, principal=principal, execution=execution, max_bytes=max_bytes)
        if execution is None:
            execution = await read_execution(self.client, self.logs, exec_id, principal)
        _require_ended(exec_id, execution)
        report = await self.report(exec_id, execution, principal=principal, max_bytes=max_bytes)
        return await self.analyse(exec_id, execution, RunTests.of(report), principal=principal)

    async def triage(self, exec_id: int, *, principal: str, baseline: int | None = None) -> Analysis:
        """Analyse an ended execution from its report or, without one, from its log.

        Args:
            exec_id: execution id.
            principal: principal to read for.
            baseline: id of the execution to compare with; None for the testbed's earlier ones.

        Raises:
            InputError: the baseline has no report.
            ReportError: the execution has not ended, neither report nor log names a test, or the baseline cannot be
                analysed.
            TpError: TP did not return the execution or the baseline.
            StoreError: the history cannot be used.
        """
        execution = await read_execution(self.client, self.logs, exec_id, principal)
        _require_ended(exec_id, execution)
        tests = await self.tests(exec_id, execution, principal=principal)
        if tests.source == "log" and not tests.tests:
            raise ReportError(
                f"{tests.problem}, and the end of its log names no test that failed, so it cannot be triaged.",
                remedy=f"{look_at_execution(exec_id)} shows its counts and the end of its log.",
            )
        return await self.analyse(exec_id, execution, tests, principal=principal, baseline=baseline)

    async def analyse(
        self, exec_id: int, execution: Execution, tests: RunTests, *, principal: str, baseline: int | None = None
    ) -> Analysis:
        """Analyse the tests of an ended execution, and record it in the history if they come from its report.

        Raises:
            InputError, ReportError, TpError: the baseline cannot be analysed.
            StoreError: the history cannot be used.
        """
        # On a thread: clustering thousands of failures takes seconds.
        clusters = await anyio.to_thread.run_sync(clusters_of, tests.tests)
        build = await self._build_of(execution)
        ended = execution.end_timestamp or execution.start_timestamp
        run = Run(
            server=self.server,
            exec_id=exec_id,
            lab=lab_words(execution.lab),
            build=build,
            ended_at=ended.timestamp() if ended is not None else 0.0,
            outcomes=outcomes_by_test(tests.tests),
        )
        counted = None
        if tests.source == "report":
            await self.history.add(run, principal)
        else:
            counted = sum(count or 0 for count in (execution.pass_count, execution.fail_count, execution.error_count))
        earlier = await self._earlier(run, principal, baseline)
        triage = Triage(exec_id, build, run.outcomes, clusters, earlier, counted)
        notes = {note.signature: note for note in await self.history.notes(principal, self.server)}
        return Analysis(execution, run, tests, triage, notes, self.clock.now())

    async def _build_of(self, execution: Execution) -> str:
        """Return the build under test; empty if neither TP nor the history knows it."""
        lab = lab_words(execution.lab)
        if not lab or execution.start_timestamp is None:
            return ""
        try:
            upgrade = shown_upgrade(self.server, lab, await self.client.without_retries().get_upgrade(execution.lab))
        except TpError:
            upgrade = None
        if upgrade is not None:
            await self.history.add_upgrade(upgrade)
        return await self.history.build_at(self.server, lab, execution.start_timestamp.timestamp())

    async def _earlier(self, run: Run, principal: str, baseline: int | None) -> tuple[EarlierExecution, ...]:
        """Return the executions to compare with, the latest first."""
        if baseline is None:
            return await self.history.earlier(
                self.server, run.lab, before=run.exec_id, principal=principal, limit=EXECUTIONS_LOOKED_AT
            )
        kept = await self.history.one(self.server, baseline, principal)
        if kept is not None:
            return (kept,)
        other = await self.read(baseline, principal=principal)
        return (EarlierExecution(baseline, other.run.build, other.run.outcomes),)


async def read_log_tests(execution: Execution, error: TpMcpError, log: KeptLog | None) -> RunTests:
    """Return the tests that the short summary at the end of a log names.

    Args:
        execution: TP's row of the execution, with the end of its log.
        error: why there is no report.
        log: kept log; None to use the end that TP shows.
    """
    if isinstance(error, InputError | TpNotFoundError):
        problem = "TP has no report of it"
    else:
        problem = f"Its report could not be read ({error.message.rstrip('.')})"
    end = read_summary(execution.log_tail)
    # On a thread: the kept log of a long run has megabytes.
    summary = None if log is None else await anyio.to_thread.run_sync(read_summary, log.text)
    # The end that TP shows names more tests where the kept log could not be extended.
    if log is None or summary is None or len(summary.tests) < len(end.tests):
        return RunTests(end.tests, "log", problem, end.complete)
    unknown = log.missing + log.dropped
    return RunTests(summary.tests, "log", problem, summary.complete, log_size=log.size, log_unknown=unknown)


def _require_ended(exec_id: int, execution: Execution) -> None:
    if execution.status != DONE and execution.status not in ENDED_OTHERWISE:
        raise ReportError(
            f"Execution {exec_id} has not ended.",
            remedy=f'start_watch(tool="get_execution", args={{"exec_id": {exec_id}}}) watches it to its end.',
        )
