"""Failed tests of an ended run, from its report."""

from tp_mcp.api.models import Execution
from tp_mcp.errors import InputError, ReportError, TpError, TpNotFoundError
from tp_mcp.history.analysis import RunTests
from tp_mcp.jobs.pytest_run.execution_rule import DONE
from tp_mcp.results.document import ItemList, Paragraph, Section
from tp_mcp.results.text import count_of
from tp_mcp.tools.framework import watch_documents
from tp_mcp.tools.framework.services import Services
from tp_mcp.triage.failing_line import failing_line
from tp_mcp.triage.report_parser import Report, ReportedTest
from tp_mcp.watch.model.watch import Owner


async def report_sections(exec_id: int, execution: Execution, services: Services, owner: Owner) -> tuple[Section, ...]:
    """Return the report's URL and the failed tests of an ended run, or the reason for their absence."""
    broken = (execution.fail_count or 0) + (execution.error_count or 0)
    no_list = "its failed tests cannot be listed"
    try:
        url = services.tp.client.report_url(execution.report_file_path)
    except InputError:
        # There is none, or its path leads outside TP.
        return (Paragraph(f"TP has no report of it, so {no_list}."),) if broken else ()
    where = Paragraph(f"Report: {url}")
    if broken == 0 and execution.fail_count is not None:
        # An aborted run may have no report, even if TP shows a path.
        return (where if execution.status == DONE else Paragraph(f"Report, if pytest wrote one: {url}"),)
    try:
        report = await services.tp.executions.report(exec_id, execution, principal=owner.principal)
    except TpNotFoundError:
        return (Paragraph(f"TP has no report of it at {url}, so {no_list}."),)
    except (TpError, ReportError) as error:
        return (where, Paragraph(f"Its report could not be read, so {no_list}: {error}"))
    services.results.recorder.saw(exec_id, owner.principal, execution, RunTests.of(report))
    return (where, *_listed(report, exec_id))


def _listed(report: Report, exec_id: int) -> tuple[Section, ...]:
    unread = f"{count_of(report.left_out, 'row')} of the report could not be read." if report.left_out else ""
    notes = (Paragraph(unread),) if unread else ()
    if not report.failures:
        return (Paragraph("Its report lists no failed test."), *notes)
    failed = ItemList(
        heading=f"Failed or in error ({len(report.failures)})",
        items=tuple(row_line(test) for test in report.failures),
        rest=f"{watch_documents.call_words('get_test_results', exec_id=exec_id)} lists them page by page",
        source="TP's report",
    )
    return (*notes, failed)


def row_line(test: ReportedTest) -> str:
    """Return a row of a report with its failing line, in at most three lines. Data from outside."""
    what = f"{test.outcome.upper()} {test.test_id}"
    if test.outcome == "error":
        what += f" (in {test.phase})"
    line = failing_line(test)
    if line is None:
        return what
    return "\n  ".join(part for part in (what, line.message, line.location and f"at {line.location}") if part)
