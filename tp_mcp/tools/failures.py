"""What failed in an ended run, from its report."""

import anyio.to_thread

from tp_mcp.api.client import TpClient
from tp_mcp.api.models import Execution
from tp_mcp.errors import InputError, ReportError, TpError
from tp_mcp.results.document import ItemList, Paragraph, Section
from tp_mcp.triage.failing_line import failing_line
from tp_mcp.triage.report import Report, ReportedTest, parse_report

REPORT_MAX_BYTES = 100_000_000


async def failure_sections(client: TpClient, execution: Execution) -> tuple[Section, ...]:
    """Return the failed and errored tests of an ended run, or why they cannot be told."""
    broken = (execution.fail_count or 0) + (execution.error_count or 0)
    if not execution.report_file_path:
        return (Paragraph("TP has no report of it, so single tests cannot be told."),) if broken else ()
    if broken == 0 and execution.fail_count is not None:
        return ()
    try:
        content = await client.get_report(execution.report_file_path, max_bytes=REPORT_MAX_BYTES)
        # On a thread: a large report takes seconds to read, and watches go on meanwhile.
        report = await anyio.to_thread.run_sync(parse_report, content)
    except (TpError, InputError, ReportError) as error:
        return (Paragraph(f"Its report could not be read, so single tests cannot be told: {error}"),)
    return _listed(report)


def _listed(report: Report) -> tuple[Section, ...]:
    if not report.failures:
        return (Paragraph("Its report lists no failed test."),)
    return (
        ItemList(
            heading=f"Failed or in error ({len(report.failures)})",
            items=tuple(_line(test) for test in report.failures),
            rest="the report has them all",
        ),
    )


def _line(test: ReportedTest) -> str:
    what = f"{test.outcome.upper()} {test.test_id}"
    if test.outcome == "error":
        what += f" (in {test.phase})"
    line = failing_line(test)
    if line is None:
        return what
    return "\n  ".join(part for part in (what, line.message, line.location and f"at {line.location}") if part)
