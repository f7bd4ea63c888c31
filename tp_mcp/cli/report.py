"""`tp-mcp report EXEC_ID`: the tests of an ended run, for people and for scripts."""

import logging
import sys
from pathlib import Path

import anyio
import typer
from rich.console import Console

from tp_mcp.api.client import TpClient
from tp_mcp.api.models import Execution
from tp_mcp.cli.report_formats import Clean, as_json, as_junit, print_table
from tp_mcp.cli.script_terms import FAILED, PASSED, UNKNOWN, ReportFormat
from tp_mcp.clock import SystemClock
from tp_mcp.composition.environment import config_file, process_identity
from tp_mcp.composition.tp_access import tp_access
from tp_mcp.errors import InputError, ReportError, TpError, TpMcpError
from tp_mcp.history.analysis import RunTests, read_log_tests
from tp_mcp.history.report_cache import ReportCache
from tp_mcp.jobs.pytest_run.execution_rule import CANCELLED, DONE, ENDED_OTHERWISE, outcome_of
from tp_mcp.redaction import Redactor
from tp_mcp.results.statuses import status_words
from tp_mcp.settings import load_settings
from tp_mcp.triage.test_report import BROKEN
from tp_mcp.watch.model.reading import Outcome

logger = logging.getLogger(__name__)


def run_report(exec_id: int, form: ReportFormat, *, output: Path | None, profile: str | None) -> int:
    """Write the tests of a run, and return the exit code."""
    try:
        return anyio.run(_report, exec_id, form, output, profile)
    except TpMcpError as error:
        typer.echo(str(error), err=True)
    except OSError as error:
        typer.echo(f"It could not be written: {error}", err=True)
    except Exception:
        # An exit code of 1 would say that tests had failed.
        logger.exception("The command ended unexpectedly")
    return UNKNOWN


async def _report(exec_id: int, form: ReportFormat, output: Path | None, profile: str | None) -> int:
    settings = load_settings(config_file(), profile=profile)
    access = tp_access(settings)
    async with TpClient(
        base_url=access.base_url, credentials=access.credentials, clock=SystemClock(), verify=access.verify
    ) as client:
        execution = await client.get_execution(exec_id)
        if execution.status != DONE and execution.status not in ENDED_OTHERWISE:
            stands = status_words(execution.status) or "of unknown status"
            typer.echo(
                f"Execution {exec_id} is {stands}: its report comes at its end. tp-mcp wait {exec_id} waits for it.",
                err=True,
            )
            return UNKNOWN
        principal = process_identity().owner(None).principal
        try:
            report = await ReportCache().read(exec_id, execution, client=client, principal=principal)
            told = RunTests.of(report)
        except (InputError, TpError, ReportError) as error:
            told = await read_log_tests(execution, error, None)
        url = _url(client, execution)
        safe = Redactor(access.secrets).knowing(client.secrets).safe
    _write(exec_id, execution, told, form, output, url, safe)
    _tell_what_is_missing(told)
    return _exit_code(execution, told)


def _write(
    exec_id: int,
    execution: Execution,
    told: RunTests,
    form: ReportFormat,
    output: Path | None,
    url: str | None,
    clean: Clean,
) -> None:
    match form:
        case ReportFormat.JSON:
            _put(as_json(exec_id, execution, told, report_url=url, clean=clean) + b"\n", output)
        case ReportFormat.JUNIT:
            _put(as_junit(exec_id, execution, told, report_url=url, clean=clean) + b"\n", output)
        case ReportFormat.TABLE if output is None:
            print_table(told, Console(highlight=False, emoji=False), clean=clean)
        case ReportFormat.TABLE:
            with output.open("w", encoding="utf-8") as file:
                print_table(told, Console(file=file, highlight=False, emoji=False), clean=clean)


def _put(data: bytes, output: Path | None) -> None:
    if output is not None:
        output.write_bytes(data)
        return
    # Both are UTF-8 whatever the terminal's encoding is.
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _tell_what_is_missing(told: RunTests) -> None:
    if told.source == "log":
        cut = "" if told.complete else ", which is cut off"
        typer.echo(f"{told.problem}: these are the tests that the end of its log names{cut}.", err=True)
    elif told.left_out:
        typer.echo(f"{told.left_out} rows of the report could not be read.", err=True)


def _url(client: TpClient, execution: Execution) -> str | None:
    try:
        return client.report_url(execution.report_file_path)
    except InputError:
        return None


def _exit_code(execution: Execution, told: RunTests) -> int:
    if execution.status != DONE:
        return UNKNOWN if execution.status == CANCELLED else FAILED
    match outcome_of(execution, only_collects=False):
        case Outcome.FAILED:
            return FAILED
        case Outcome.PASSED:
            return PASSED
        case Outcome.UNKNOWN if told.tests:
            # TP told no counts; the report has them.
            if any(test.outcome in BROKEN for test in told.tests):
                return FAILED
            passed = told.complete and told.source == "report" and any(test.outcome == "passed" for test in told.tests)
            return PASSED if passed else UNKNOWN
        case _:
            return UNKNOWN
