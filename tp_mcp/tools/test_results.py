"""The single tests of a run: found by outcome and by words, page by page."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import anyio.to_thread
from pydantic import Field, JsonValue

from tp_mcp.history.analysis import RunTests
from tp_mcp.jobs.pytest_run.execution_rule import DONE, ENDED_OTHERWISE, execution_job
from tp_mcp.jobs.pytest_run.pytest_kind import look_at_execution
from tp_mcp.jobs.tp_reader import read_execution
from tp_mcp.results.document import Document, ItemList, LogExcerpt, Paragraph, Section
from tp_mcp.results.statuses import status_words, word
from tp_mcp.results.text import Size, count_of, format_duration, size_of
from tp_mcp.tools.framework import watch_documents
from tp_mcp.tools.framework.arguments import ToolArguments
from tp_mcp.tools.framework.definition import Call, ToolDefinition
from tp_mcp.tools.framework.pagination import Cursor, offset_of
from tp_mcp.tools.reports.failed_tests import row_line
from tp_mcp.triage.failing_line import failing_line
from tp_mcp.triage.test_report import BROKEN, OUTCOMES, ReportedTest

RESULTS_TOOL = "get_test_results"

PAGE_SIZE = 30
"""Tests in one result, at most."""

RESULTS_TYPICAL_CHARACTERS = 6_000
"""Typical length of a page of failing lines, or of two logs, in characters."""

PAGE_MAX = Size(4_500, 9_000)
"""Limit of the listed tests in one result: with the text around them, a page is never cut."""

SHOWN_IN_FULL = 2
"""Number of matching tests up to which each is shown with its log."""

_SOURCES = {"report": "its report", "log": "the end of its log"}


class TestResultsArguments(ToolArguments):
    """Arguments of `get_test_results`."""

    # Keeps pytest from collecting this class because of its name.
    __test__ = False

    exec_id: Annotated[int, Field(description="Execution id.", gt=0)]
    outcome: Annotated[
        Literal["broken", "failed", "error", "passed", "skipped", "xfailed", "xpassed", "rerun", "any"],
        Field(description="Outcome to list; broken means failed or error."),
    ] = "broken"
    search: Annotated[str, Field(description="Words to find in the test id or the failing line.", max_length=300)] = ""
    cursor: Cursor = ""


async def get_test_results(arguments: TestResultsArguments, call: Call) -> Document:
    """List a run's tests."""
    exec_id = arguments.exec_id
    execution = await read_execution(call.services.tp.client, call.services.results.logs, exec_id, call.owner.principal)
    await call.services.watches.inbox.name(call.visit, job=execution_job(exec_id))
    where = f"Execution {exec_id} on {word(execution.lab) or 'an unknown lab'}"
    if execution.status != DONE and execution.status not in ENDED_OTHERWISE:
        return Document(
            f"{where} is {status_words(execution.status) or 'of unknown status'}: its report is written at its end.",
            next_step=f"{look_at_execution(exec_id)} shows its status.",
        )
    services = call.services
    run = await services.tp.executions.tests(exec_id, execution, principal=call.owner.principal)
    if run.source == "report":
        call.services.results.recorder.saw(exec_id, call.owner.principal, execution, run)
    notes = _notes(run)
    # On a thread: searching thousands of failing lines takes a while.
    found = await anyio.to_thread.run_sync(_found, run.tests, arguments)
    conclusion = f"{where}, by {_SOURCES[run.source]}: {_counts(run.tests)}."
    if not found:
        return Document(f"{conclusion} {_none(arguments, run)}", notes, _without_filter(arguments, run))
    if len(found) <= SHOWN_IN_FULL and not arguments.cursor:
        return Document(f"{conclusion} {_matching(arguments, found)}", (*notes, *map(_in_full, found)))
    return _page(found, conclusion, run, arguments)


def _notes(run: RunTests) -> tuple[Section, ...]:
    if run.source == "report":
        unread = f"{count_of(run.left_out, 'row')} of the report could not be read." if run.left_out else ""
        return (Paragraph(unread),) if unread else ()
    if not run.tests:
        return (Paragraph(f"{run.problem}, and the end of its log names no test."),)
    part = "" if run.complete else " The summary is cut off, so some are missing."
    return (
        Paragraph(
            f"{run.problem}, so these tests come from the short summary at the end of its log: it has no test logs, no "
            f"durations, and usually only failures.{part}{run.log_words}"
        ),
    )


def _found(tests: Sequence[ReportedTest], arguments: TestResultsArguments) -> list[ReportedTest]:
    words = arguments.search.casefold().split()
    return [test for test in tests if _wanted(arguments.outcome)(test) and _matches(test, words)]


def _wanted(outcome: str) -> Callable[[ReportedTest], bool]:
    if outcome == "any":
        return lambda _: True
    if outcome == "broken":
        return lambda test: test.outcome in BROKEN
    return lambda test: test.outcome == outcome


def _matches(test: ReportedTest, words: Sequence[str]) -> bool:
    missing = [word for word in words if word not in test.test_id.casefold()]
    if not missing:
        return True
    line = failing_line(test)
    text = f"{line.message} {line.location}".casefold() if line else ""
    return all(word in text for word in missing)


def _counts(tests: Sequence[ReportedTest]) -> str:
    counted = Counter(test.outcome for test in tests)
    return ", ".join(f"{counted[outcome]:,} {outcome}" for outcome in OUTCOMES if counted[outcome]) or "no test"


def _matching(arguments: TestResultsArguments, found: Sequence[ReportedTest]) -> str:
    what = {"broken": "failed or in error", "any": "in total"}.get(arguments.outcome, arguments.outcome)
    having = f", with {arguments.search!r}" if arguments.search else ""
    return f"{len(found):,} {what}{having}."


def _none(arguments: TestResultsArguments, run: RunTests) -> str:
    tests = "test" if run.source == "report" else "known test"
    having = f" with {arguments.search!r}" if arguments.search else ""
    outcome = {"broken": "failed or had an error", "any": "was found"}.get(arguments.outcome)
    return f"No {tests}{having} {outcome or f'has the outcome {arguments.outcome}'}."


def _without_filter(arguments: TestResultsArguments, run: RunTests) -> str:
    if not run.tests:
        return f"{look_at_execution(arguments.exec_id)} shows its counts and the end of its log."
    others = watch_documents.call_words(RESULTS_TOOL, exec_id=arguments.exec_id, outcome="any")
    return f"{others} lists all known tests."


def _in_full(test: ReportedTest) -> Section:
    took = "" if test.duration_seconds is None else f", {format_duration(test.duration_seconds)}"
    # The id is data from outside too, so it goes inside the fence.
    text = f"{test.test_id}\n\n{test.log or '(no log)'}"
    return LogExcerpt(heading=f"{test.outcome.capitalize()}, in {test.phase}{took}", text=text, source="TP's report")


def _page(found: Sequence[ReportedTest], conclusion: str, run: RunTests, arguments: TestResultsArguments) -> Document:
    offset = offset_of(arguments.cursor, len(found))
    lines: list[str] = []
    room = PAGE_MAX
    for test in found[offset : offset + PAGE_SIZE]:
        line = row_line(test)
        # Size of the indented list item.
        size = size_of("- " + line.replace("\n", "\n  ") + "\n")
        if lines and not room.holds(size):
            break
        room = room.minus(size)
        lines.append(line)
    end = offset + len(lines)
    more = end < len(found)
    which = f" These are {offset + 1:,} to {end:,}." if more or offset else ""
    one = watch_documents.call_words(
        RESULTS_TOOL, exec_id=arguments.exec_id, outcome=arguments.outcome, search="(its id)"
    )
    step = f"{one} shows one with its log." if run.source == "report" else ""
    if more:
        step = f"{_next_call(arguments, end)} shows the next page. {step}".rstrip()
    listed = ItemList("Tests", tuple(lines), rest=_next_call(arguments, end), source=f"TP: {_SOURCES[run.source]}")
    return Document(f"{conclusion} {_matching(arguments, found)}{which}", (*_notes(run), listed), step)


def _next_call(arguments: TestResultsArguments, offset: int) -> str:
    given: dict[str, JsonValue] = {"exec_id": arguments.exec_id, "outcome": arguments.outcome}
    if arguments.search:
        given["search"] = arguments.search
    return watch_documents.call_words(RESULTS_TOOL, **given, cursor=str(offset))


TOOLS = (
    ToolDefinition(
        name=RESULTS_TOOL,
        title="List a run's tests",
        description=(
            "List the tests of an ended run, by default those that failed or had an error, with the failing lines. If "
            "only one or two tests match, their logs are shown too."
        ),
        arguments=TestResultsArguments,
        run=get_test_results,
        read_only=True,
        typical_characters=RESULTS_TYPICAL_CHARACTERS,
    ),
)
