"""The tests of ended runs: from their reports, read once for a conversation, or else from the end of their logs."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

import anyio
import anyio.to_thread

from tp_mcp.api.client import TpClient
from tp_mcp.api.models import Execution
from tp_mcp.errors import InputError, ReportError, TpError, TpNotFoundError
from tp_mcp.results.kept_logs import KeptLog, KeptLogs
from tp_mcp.triage.log_summary import read_summary
from tp_mcp.triage.report_parser import Report, parse_report
from tp_mcp.triage.test_report import ReportedTest
from tp_mcp.watch.model.watch import Owner

REPORT_MAX_BYTES = 100_000_000
"""Largest report that is fetched."""

KEPT_MAX_BYTES = 64_000_000
"""Most of all reports together that is kept."""

KEPT_MAX_REPORTS = 8

_Key = tuple[str, str, int, str, object]


@dataclass(frozen=True, slots=True)
class RunTests:
    """What is known of an ended run's tests.

    Attributes:
        tests: one row each.
        source: the report, or the short summary at the end of the log, which usually names only what broke.
        problem: why it is not the report, as the beginning of a sentence; empty where it is.
        complete: nothing that the source has was cut off or left out.
        left_out: rows of the report that could not be read.
        log_size: bytes of the log, where it served and is kept; else None.
        log_unknown: how many of them TP never showed, or were not kept.

    """

    tests: tuple[ReportedTest, ...]
    source: Literal["report", "log"] = "report"
    problem: str = ""
    complete: bool = True
    left_out: int = 0
    log_size: int | None = None
    log_unknown: int = 0

    @property
    def log_words(self) -> str:
        """Return how much of the log is known, as a sentence after others; empty where that is not known either."""
        if self.log_size is None:
            return ""
        if self.log_unknown:
            return f" Of the {self.log_size:,} bytes of its log {self.log_unknown:,} are not known."
        return f" All {self.log_size:,} bytes of its log are known."


class RunReports:
    """Fetches and reads reports. Those of ended runs do not change, so the latest ones are kept.

    They are kept for the conversation that asked: what TP shows to one user it need not show to another.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[_Key, Report] = OrderedDict()
        # One at a time: a large one takes memory, and whoever asks for the same one finds it kept.
        self._reading = anyio.Lock()

    async def tests(
        self, exec_id: int, execution: Execution, *, client: TpClient, owner: Owner, logs: KeptLogs | None = None
    ) -> RunTests:
        """Return the tests of an ended run, from its log where its report cannot be had.

        Args:
            exec_id: the execution's id.
            execution: what TP says of it now.
            client: fetches the report.
            owner: who asks.
            logs: the logs that are kept, of which the owner sees those that it may read; TP itself shows only the end.

        """
        try:
            report = await self.read(exec_id, execution, client=client, owner=owner)
        except (InputError, TpNotFoundError):
            problem = "TP has no report of it"
        except (TpError, ReportError) as error:
            problem = f"Its report could not be read ({error.message.rstrip('.')})"
        else:
            return RunTests(report.tests, complete=report.left_out == 0, left_out=report.left_out)
        shown = read_summary(execution.log_tail)
        log = await _kept_log(exec_id, owner, logs)
        # On a thread: what is kept of a long run is megabytes.
        summary = None if log is None else await anyio.to_thread.run_sync(read_summary, log.text)
        # What could not be added to the kept log may name more than it does.
        if log is None or summary is None or len(summary.tests) < len(shown.tests):
            return RunTests(shown.tests, "log", problem, shown.complete)
        unknown = log.missing + log.dropped
        return RunTests(summary.tests, "log", problem, summary.complete, log_size=log.size, log_unknown=unknown)

    async def read(self, exec_id: int, execution: Execution, *, client: TpClient, owner: Owner) -> Report:
        """Return the report of an ended run.

        Args:
            exec_id: the execution's id.
            execution: what TP says of it now.
            client: fetches it.
            owner: who asks.

        Raises:
            InputError: there is none, or its path leads away from TP.
            TpError: it could not be fetched.
            ReportError: it could not be read.

        """
        path = execution.report_file_path
        key = (owner.principal, owner.conversation, exec_id, path, execution.end_timestamp)
        async with self._reading:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            content = await client.get_report(path, max_bytes=REPORT_MAX_BYTES)
            # On a thread: a large report takes a while to read, and watches go on meanwhile.
            report = await anyio.to_thread.run_sync(parse_report, content)
            self._keep(key, report)
            return report

    def _keep(self, key: _Key, report: Report) -> None:
        if report.size_bytes > KEPT_MAX_BYTES:
            return
        self._kept[key] = report
        while (
            len(self._kept) > KEPT_MAX_REPORTS or sum(each.size_bytes for each in self._kept.values()) > KEPT_MAX_BYTES
        ):
            self._kept.popitem(last=False)


async def _kept_log(exec_id: int, owner: Owner, logs: KeptLogs | None) -> KeptLog | None:
    if logs is None or not await logs.admits(exec_id, owner.principal):
        return None
    return await logs.get(exec_id)
