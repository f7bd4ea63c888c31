"""Reading an ended execution: its report, the reasons of its failures, and the build under test."""

import copy
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

import anyio.to_thread

from tp_mcp.api.client import TpClient
from tp_mcp.api.models import Execution
from tp_mcp.errors import ReportError, TpError
from tp_mcp.history.build_under_test import shown_upgrade
from tp_mcp.history.records import History, Run
from tp_mcp.jobs.pytest_run.execution_rule import DONE, ENDED_OTHERWISE, lab_words
from tp_mcp.jobs.tp_reader import read_execution
from tp_mcp.results.kept_logs import KeptLogs
from tp_mcp.results.statuses import word
from tp_mcp.triage.clusters import Cluster, clusters_of
from tp_mcp.triage.past import EXECUTIONS_LOOKED_AT, PastExecution, outcomes_by_test
from tp_mcp.triage.report_parser import parse_report
from tp_mcp.triage.test_report import ReportedTest
from tp_mcp.triage.verdict import Triage

REPORT_MAX_BYTES = 100_000_000
BACKGROUND_REPORT_MAX_BYTES = 30_000_000
"""Largest report that is read without having been asked for."""


@dataclass(frozen=True, slots=True)
class ReadExecution:
    """An ended execution, read.

    Attributes:
        exec_id: its number.
        execution: as TP shows it.
        build: the build under test; empty where it is not known.
        run: what is kept of it.
        clusters: its failures by reason.
        left_out: how many rows of its report were not read.
        counted: how many tests ran by TP's counts, where only those that broke are known; else None.

    """

    exec_id: int
    execution: Execution
    build: str
    run: Run
    clusters: tuple[Cluster, ...] = field(repr=False)
    left_out: int = 0
    counted: int | None = None

    def triage(self, earlier: tuple[PastExecution, ...] = ()) -> Triage:
        """Return it taken apart, to be compared with earlier executions."""
        return Triage(self.exec_id, self.build, self.run.outcomes, self.clusters, earlier, self.counted)


class ExecutionReader:
    """Reads ended executions of one TP, and keeps what they came to."""

    def __init__(
        self,
        *,
        client: TpClient,
        history: History,
        logs: KeptLogs,
        server: str,
        client_of: Callable[[str], Awaitable[TpClient]] | None = None,
    ) -> None:
        """Prepare.

        Args:
            client: speaks to TP.
            history: keeps what executions came to.
            logs: keeps what is seen of their logs.
            server: TP's base URL.
            client_of: gives the client to read with for a principal; None where `client` reads for everybody.

        """
        self._client = client
        self._client_of = client_of
        self._history = history
        self._logs = logs
        self._server = server

    def of(self, client: TpClient) -> Self:
        """Return a reader that reads with another client, whoever it is for."""
        other = copy.copy(self)
        other._client, other._client_of = client, None  # noqa: SLF001 - a copy of this very object
        return other

    @property
    def server(self) -> str:
        """Return the base URL of the TP that is read."""
        return self._server

    @property
    def history(self) -> History:
        """Return what keeps the executions."""
        return self._history

    async def read(
        self,
        exec_id: int,
        *,
        principal: str,
        execution: Execution | None = None,
        max_bytes: int = REPORT_MAX_BYTES,
    ) -> ReadExecution:
        """Read an ended execution and keep it.

        Raises:
            InputError: TP shows no report of it, or one elsewhere.
            ReportError: it has not ended, or its report cannot be read.
            TpError: TP did not give it.
            StoreError: it was read, but the history cannot be used.

        """
        if self._client_of is not None:
            reader = self.of(await self._client_of(principal))
            return await reader.read(exec_id, principal=principal, execution=execution, max_bytes=max_bytes)
        if execution is None:
            execution = await read_execution(self._client, self._logs, exec_id, principal)
        require_ended(exec_id, execution)
        content = await self._client.get_report(execution.report_file_path, max_bytes=max_bytes)
        # On a thread: a large report takes seconds to read, and watches go on meanwhile.
        report = await anyio.to_thread.run_sync(parse_report, content)
        return await self.take_in(exec_id, execution, report.tests, principal=principal, left_out=report.left_out)

    async def take_in(
        self,
        exec_id: int,
        execution: Execution,
        tests: Sequence[ReportedTest],
        *,
        principal: str,
        left_out: int = 0,
        whole: bool = True,
    ) -> ReadExecution:
        """Take an ended execution apart whose tests are known; keep it where these are all its tests.

        Raises:
            StoreError: the history cannot be used.

        """
        clusters = await anyio.to_thread.run_sync(clusters_of, tests)
        build = await self.build_of(execution)
        ended = execution.end_timestamp or execution.start_timestamp
        run = Run(
            server=self._server,
            exec_id=exec_id,
            lab=lab_words(execution.lab),
            build=build,
            ended_at=ended.timestamp() if ended is not None else 0.0,
            outcomes=outcomes_by_test(tests),
        )
        if whole:
            await self._history.add(run, principal)
            return ReadExecution(exec_id, execution, build, run, clusters, left_out)
        counts = (execution.pass_count, execution.fail_count, execution.error_count)
        return ReadExecution(exec_id, execution, build, run, clusters, left_out, sum(count or 0 for count in counts))

    async def build_of(self, execution: Execution) -> str:
        """Return the build that an execution ran on; empty where neither TP nor the history tells it.

        Raises:
            StoreError: the history cannot be used.

        """
        lab = lab_words(execution.lab)
        if not lab or execution.start_timestamp is None:
            return ""
        try:
            shown = shown_upgrade(self._server, lab, await self._client.without_retries().get_upgrade(execution.lab))
        except TpError:
            shown = None
        if shown is not None:
            await self._history.add_upgrade(shown)
        return await self._history.build_at(self._server, lab, execution.start_timestamp.timestamp())

    async def earlier(
        self, read: ReadExecution, principal: str, baseline: int | None = None
    ) -> tuple[PastExecution, ...]:
        """Return what to compare an execution with: a chosen one, or the lab's earlier ones, the latest first.

        Raises:
            InputError, ReportError, TpError: the chosen one cannot be read.
            StoreError: the history cannot be used.

        """
        if baseline is None:
            return await self._history.earlier(
                self._server, read.run.lab, before=read.exec_id, principal=principal, limit=EXECUTIONS_LOOKED_AT
            )
        kept = await self._history.one(self._server, baseline, principal)
        if kept is not None:
            return (kept,)
        other = await self.read(baseline, principal=principal)
        return (PastExecution(baseline, other.build, other.run.outcomes),)


def require_ended(exec_id: int, execution: Execution) -> None:
    """Check that an execution has ended.

    Raises:
        ReportError: it has not.

    """
    if execution.status != DONE and execution.status not in ENDED_OTHERWISE:
        raise ReportError(
            f"Execution {exec_id} has not ended.",
            remedy=f'start_watch(tool="get_execution", args={{"exec_id": {exec_id}}}) watches it to its end.',
        )


def build_words(build: str) -> str:
    """Return a build for a sentence."""
    return f"build {word(build)}" if build else "a build that is not known"
