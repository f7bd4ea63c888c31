"""`tp-mcp report EXEC_ID`: the test results of an ended run, as a table, JSON or JUnit XML."""

import logging
import sys
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Literal

import anyio
from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tp_mcp.api.client import TpClient
from tp_mcp.api.models import Execution
from tp_mcp.cli.script_terms import FAILED, PASSED, UNKNOWN, ReportFormat
from tp_mcp.cli.terminal import say
from tp_mcp.clock import SystemClock
from tp_mcp.composition.environment import config_file, process_identity
from tp_mcp.composition.tp_access import tp_access
from tp_mcp.errors import InputError, ReportError, TpError, TpMcpError
from tp_mcp.history.analysis import RunTests, read_log_tests
from tp_mcp.history.report_cache import ReportCache
from tp_mcp.jobs.pytest_run.execution_rule import CANCELLED, DONE, ENDED_OTHERWISE, outcome_of
from tp_mcp.redaction import Redactor, one_line
from tp_mcp.results.statuses import status_words
from tp_mcp.settings import load_settings
from tp_mcp.triage.failing_line import failing_line
from tp_mcp.triage.junit import junit_xml
from tp_mcp.triage.test_report import BROKEN, OUTCOMES, ReportedTest
from tp_mcp.triage.test_report import Outcome as TestOutcome
from tp_mcp.triage.test_report import Phase as TestPhase
from tp_mcp.watch.model.reading import Outcome

logger = logging.getLogger(__name__)

FORMAT = 1
"""Version of the JSON format: a removed or redefined field raises it, an added field does not."""

Clean = Callable[[str], str]


def run_report(exec_id: int, form: ReportFormat, *, output: Path | None, profile: str | None) -> int:
    """Write the test results of a run, and return the exit code."""
    try:
        return anyio.run(_report, exec_id, form, output, profile)
    except TpMcpError as error:
        say(str(error), err=True)
    except OSError as error:
        say(f"The report could not be written: {error}", err=True)
    except Exception:
        # Exit code 1 would mean failed tests.
        logger.exception("The command ended unexpectedly")
    return UNKNOWN


async def _report(exec_id: int, form: ReportFormat, output: Path | None, profile: str | None) -> int:
    settings = load_settings(config_file(), profile=profile)
    access = tp_access(settings)
    async with TpClient.at(
        base_url=access.base_url, credentials=access.credentials, clock=SystemClock(), verify=access.verify
    ) as client:
        execution = await client.get_execution(exec_id)
        if execution.status != DONE and execution.status not in ENDED_OTHERWISE:
            status = status_words(execution.status) or "of unknown status"
            say(
                f"Execution {exec_id} is {status}: its report follows at its end. To wait: tp-mcp wait {exec_id}",
                err=True,
            )
            return UNKNOWN
        principal = process_identity().owner(None).principal
        try:
            report = await ReportCache().read(exec_id, execution, client=client, principal=principal)
            results = RunTests.of(report)
        except (InputError, TpError, ReportError) as error:
            results = await read_log_tests(execution, error, None)
        url = _url(client, execution)
        safe = Redactor(access.secrets).knowing(client.secrets).safe
    _write(exec_id, execution, results, form, output, url, safe)
    _warn_of_missing_results(results)
    return _exit_code(execution, results)


def _write(
    exec_id: int,
    execution: Execution,
    results: RunTests,
    form: ReportFormat,
    output: Path | None,
    url: str | None,
    clean: Clean,
) -> None:
    match form:
        case ReportFormat.JSON:
            _put(as_json(exec_id, execution, results, report_url=url, clean=clean) + b"\n", output)
        case ReportFormat.JUNIT:
            _put(as_junit(exec_id, execution, results, report_url=url, clean=clean) + b"\n", output)
        case ReportFormat.TABLE if output is None:
            print_table(results, Console(highlight=False, emoji=False), clean=clean)
        case ReportFormat.TABLE:
            with output.open("w", encoding="utf-8") as file:
                print_table(results, Console(file=file, highlight=False, emoji=False), clean=clean)


def _put(data: bytes, output: Path | None) -> None:
    if output is not None:
        output.write_bytes(data)
        return
    # Both formats are UTF-8, regardless of the terminal's encoding.
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _warn_of_missing_results(results: RunTests) -> None:
    if results.source == "log":
        cut = "" if results.complete else ", which is cut off"
        say(f"{results.problem}: using the tests that the end of its log names{cut}.", err=True)
    elif results.left_out:
        say(f"{results.left_out} rows of the report could not be read.", err=True)


def _url(client: TpClient, execution: Execution) -> str | None:
    try:
        return client.report_url(execution.report_file_path)
    except InputError:
        return None


def _exit_code(execution: Execution, results: RunTests) -> int:
    if execution.status != DONE:
        return UNKNOWN if execution.status == CANCELLED else FAILED
    match outcome_of(execution, only_collects=False):
        case Outcome.FAILED:
            return FAILED
        case Outcome.PASSED:
            return PASSED
        case Outcome.UNKNOWN if results.tests:
            # TP returned no counts; the report has them.
            if any(test.outcome in BROKEN for test in results.tests):
                return FAILED
            passed = (
                results.complete
                and results.source == "report"
                and any(test.outcome == "passed" for test in results.tests)
            )
            return PASSED if passed else UNKNOWN
        case _:
            return UNKNOWN


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

    A test has several rows if its teardown failed or if it was rerun. `message` and `location` describe the failure;
    `log` is present unless the test passed.
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
    """The output of `tp-mcp report --format json`.

    `source` is "log" if the report cannot be read; `problem` is the reason, and the results come from the short summary
    at the end of the log. `complete` is false if a part of the source is missing. `left_out` counts the unreadable rows
    of the report, and `counts` has the number of rows for each outcome.
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


def as_json(exec_id: int, execution: Execution, results: RunTests, *, report_url: str | None, clean: Clean) -> bytes:
    """Return the run's tests as JSON, UTF-8."""
    counted = Counter(test.outcome for test in results.tests)
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
        source=results.source,
        problem=results.problem,
        complete=results.complete,
        left_out=results.left_out,
        counts={outcome: counted[outcome] for outcome in OUTCOMES},
        tests=tuple(_json_test(test, clean) for test in results.tests),
    )
    return report.model_dump_json(indent=1).encode()


def as_junit(exec_id: int, execution: Execution, results: RunTests, *, report_url: str | None, clean: Clean) -> bytes:
    """Return the run's tests as JUnit XML."""
    facts = (
        ("status", execution.status),
        ("report", report_url or ""),
        ("source", results.source),
        ("problem", results.problem),
    )
    return junit_xml(
        results.tests,
        name=f"execution {exec_id} on {clean(execution.lab)}",
        timestamp=execution.start_timestamp.isoformat(timespec="seconds") if execution.start_timestamp else "",
        properties=[(name, clean(value)) for name, value in facts if value],
        clean=clean,
    )


def print_table(results: RunTests, console: Console, *, clean: Clean) -> None:
    """Print a table on a terminal; else one line for each row, its fields separated by tabs."""
    rows = ([one_line(clean(field)) for field in _fields(test)] for test in results.tests)
    if not console.is_terminal:
        # Directly to the file: the console would turn tabs into spaces.
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
