"""Fetched and parsed reports of ended executions, cached per principal."""

from collections import OrderedDict

import anyio
import anyio.to_thread

from tp_mcp.api.client import TpClient
from tp_mcp.api.models import Execution
from tp_mcp.triage.report_parser import REPORT_MAX_BYTES, Report, parse_report

KEPT_MAX_BYTES = 64_000_000
"""Limit of all cached reports together, in bytes."""

KEPT_MAX_REPORTS = 8
"""Limit of cached reports."""

_Key = tuple[str, int, str, object]


class ReportCache:
    """Fetches and parses reports, and keeps the latest ones: the report of an ended execution does not change.

    The cache never serves one principal's report to another, because TP decides who may read it.
    """

    def __init__(self) -> None:
        """Create an empty cache."""
        self._kept: OrderedDict[_Key, Report] = OrderedDict()
        # One at a time: a large report takes memory, and a second caller for the same report finds it cached.
        self._reading = anyio.Lock()

    async def read(
        self,
        exec_id: int,
        execution: Execution,
        *,
        client: TpClient,
        principal: str,
        max_bytes: int = REPORT_MAX_BYTES,
    ) -> Report:
        """Return the report of an ended execution.

        Args:
            exec_id: execution id.
            execution: TP's current row of it.
            client: client that fetches the report, with the principal's login.
            principal: principal to read for.
            max_bytes: limit of the download, in bytes; a cached report is returned whatever its size.

        Raises:
            InputError: TP shows no report, or a path outside TP.
            TpError: the report could not be fetched.
            ReportError: the report could not be parsed.
        """
        path = execution.report_file_path
        key = (principal, exec_id, path, execution.end_timestamp)
        if (cached := self._get(key)) is not None:
            return cached
        async with self._reading:
            if (cached := self._get(key)) is not None:
                return cached
            content = await client.get_report(path, max_bytes=max_bytes)
            # On a thread: parsing a large report takes seconds, and polls continue during it.
            report = await anyio.to_thread.run_sync(parse_report, content)
            self._keep(key, report)
            return report

    def _get(self, key: _Key) -> Report | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def _keep(self, key: _Key, report: Report) -> None:
        if report.size_bytes > KEPT_MAX_BYTES:
            return
        self._kept[key] = report
        while (
            len(self._kept) > KEPT_MAX_REPORTS or sum(each.size_bytes for each in self._kept.values()) > KEPT_MAX_BYTES
        ):
            self._kept.popitem(last=False)
