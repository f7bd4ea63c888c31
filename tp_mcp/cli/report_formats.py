"""The tests of a run for scripts: as JSON whose shape stays, as JUnit XML, and as a table."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tp_mcp.api.models import Execution
from tp_mcp.history.analysis import RunTests
from tp_mcp.redaction import one_line
from tp_mcp.triage.failing_line import failing_line
from tp_mcp.triage.junit import junit_xml
from tp_mcp.triage.test_report import OUTCOMES, ReportedTest
from tp_mcp.triage.test_report import Outcome as TestOutcome
from tp_mcp.triage.test_report import Phase as TestPhase

FORMAT = 1
"""Grows when a field changes its meaning or goes; new ones may come at any time."""

Clean = Callable[[str], str]


class JsonExecution(BaseModel):
    """The run."""

    model_config = ConfigDict(frozen=True)

    id: int
    lab: str
    status: str
    started_at: datetime | None
    ended_at: datetime | None
    report_url: str | None


class JsonTest(BaseModel):
    """One row of the report.

    A test has several where its teardown failed after it had ended, or where it was run again. `message` and `location`
    say where it failed; `log` is there for what did not pass.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    outcome: TestOutcome
    phase: TestPhase
    duration_seconds: float | None
    message: str | None
    location: str | None
    log: str | None


class JsonReport(BaseModel):
    """What `tp-mcp report --format json` prints.

    `source` is "log" where there is no report that can be read; `problem` says why, and the short summary at the end of
    the log serves, which names what broke. `complete` is false where something of the source was cut off or could not
    be read, `left_out` counts rows of the report that could not be read, and `counts` has the rows by outcome.
    """

    model_config = ConfigDict(frozen=True)

    format: Literal[1]
    execution: JsonExecution
    source: Literal["report", "log"]
    problem: str
    complete: bool
    left_out: int
    counts: dict[TestOutcome, int]
    tests: tuple[JsonTest, ...]


def as_json(exec_id: int, execution: Execution, told: RunTests, *, report_url: str | None, clean: Clean) -> bytes:
    """Return the run's tests as JSON, UTF-8."""
    counted = Counter(test.outcome for test in told.tests)
    report = JsonReport(
        format=FORMAT,
        execution=JsonExecution(
            id=exec_id,
            lab=clean(execution.lab),
            status=clean(execution.status),
            started_at=execution.start_timestamp,
            ended_at=execution.end_timestamp,
            report_url=report_url,
        ),
        source=told.source,
        problem=told.problem,
        complete=told.complete,
        left_out=told.left_out,
        counts={outcome: counted[outcome] for outcome in OUTCOMES},
        tests=tuple(_json_test(test, clean) for test in told.tests),
    )
    return report.model_dump_json(indent=1).encode()


def as_junit(exec_id: int, execution: Execution, told: RunTests, *, report_url: str | None, clean: Clean) -> bytes:
    """Return the run's tests as JUnit XML."""
    facts = (
        ("status", execution.status),
        ("report", report_url or ""),
        ("source", told.source),
        ("problem", told.problem),
    )
    return junit_xml(
        told.tests,
        name=f"execution {exec_id} on {clean(execution.lab)}",
        timestamp=execution.start_timestamp.isoformat(timespec="seconds") if execution.start_timestamp else "",
        properties=[(name, clean(value)) for name, value in facts if value],
        clean=clean,
    )


def print_table(told: RunTests, console: Console, *, clean: Clean) -> None:
    """Print a table on a terminal; else one line for each row, its fields separated by tabs."""
    rows = ([one_line(clean(field)) for field in _fields(test)] for test in told.tests)
    if not console.is_terminal:
        # Past the console, which would turn the tabs into spaces.
        console.file.writelines("\t".join(row) + "\n" for row in rows)
        return
    table = Table("outcome", "phase", "seconds", "test", "where it failed", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _fields(test: ReportedTest) -> tuple[str, ...]:
    line = failing_line(test)
    seconds = "" if test.duration_seconds is None else f"{test.duration_seconds:g}"
    where = "" if line is None else f"{line.message} ({line.location})" if line.location else line.message
    return test.outcome, test.phase, seconds, test.test_id, where


def _json_test(test: ReportedTest, clean: Clean) -> JsonTest:
    line = failing_line(test)
    return JsonTest(
        id=clean(test.test_id),
        outcome=test.outcome,
        phase=test.phase,
        duration_seconds=test.duration_seconds,
        message=None if line is None else clean(line.message),
        location=None if line is None or not line.location else clean(line.location),
        log=None if test.outcome == "passed" else clean(test.log),
    )
