"""Showing a pytest run, and ending one."""

from typing import Annotated, assert_never

import anyio
from pydantic import Field

from tp_mcp.access.policy import Action
from tp_mcp.api.models import Execution, ExecutionSummary
from tp_mcp.jobs.pytest_run.execution_rule import DONE, ENDED_OTHERWISE, POLL_TOOL, counts_of, execution_job, outcome_of
from tp_mcp.jobs.pytest_run.pytest_kind import look_at_execution
from tp_mcp.jobs.tp_reader import log_handle, read_execution
from tp_mcp.redaction import one_line
from tp_mcp.results.document import Document, ItemList, LogExcerpt, Paragraph, Section
from tp_mcp.results.statuses import status_words, word
from tp_mcp.results.text import count_of, format_duration
from tp_mcp.tools.framework import watch_documents
from tp_mcp.tools.framework.arguments import ToolArguments
from tp_mcp.tools.framework.definition import Call, ToolDefinition
from tp_mcp.tools.reports.failed_tests import report_sections
from tp_mcp.tools.starts.confirmation import Change, Confirm, permitted, plan_document
from tp_mcp.watch.delivery import messages
from tp_mcp.watch.model.reading import Outcome
from tp_mcp.watch.model.watch import Watch, WatchState

CANCEL_TOOL = "cancel_execution"
EXECUTION_TYPICAL_CHARACTERS = 6_000
"""Some twenty failures, or the whole end of a log."""


class ExecutionArguments(ToolArguments):
    """The arguments of the tools for one execution."""

    exec_id: Annotated[int, Field(description="Execution id from run_pytest or TP's own page.", examples=[446], gt=0)]


class CancelExecutionArguments(ExecutionArguments):
    """The arguments of `cancel_execution`."""

    confirm: Confirm = None


class ListExecutionsArguments(ToolArguments):
    """The arguments of `list_executions`."""

    lab: Annotated[str, Field(description="Only executions on this lab.", examples=["AT16_Combined_FSW"])] = ""


async def get_execution(arguments: ExecutionArguments, call: Call) -> Document:
    """Show a run: its progress or, once it has ended, its failures."""
    execution = await _read(arguments.exec_id, call)
    job = execution_job(arguments.exec_id)
    await call.services.watches.inbox.name(call.visit, job=job, job_is_one_watchs=True)
    watch = await _watch_of(call, job)
    where = _where(arguments.exec_id, execution)
    if _has_ended(execution):
        document = await _ended(where, execution, watch, call, exec_id=arguments.exec_id)
        # Where the failures were read, the report is being kept already, and this adds nothing.
        call.services.results.recorder.saw(arguments.exec_id, call.owner.principal, execution)
        return document
    return await _going_on(where, execution, watch, call, exec_id=arguments.exec_id)


async def cancel_execution(arguments: CancelExecutionArguments, call: Call) -> Document:
    """Ask TP to end a run."""
    services = call.services
    exec_id = arguments.exec_id
    execution = await _read(exec_id, call)
    job = execution_job(exec_id)
    await services.watches.inbox.name(call.visit, job=job, job_is_one_watchs=True)
    where = _where(exec_id, execution)
    if _has_ended(execution):
        return Document(
            f"{where} had ended already ({status_words(execution.status)}); nothing was sent.",
            next_step=f"{look_at_execution(arguments.exec_id)} shows its outcome.",
        )
    change = Change(
        action=Action.CANCEL,
        tool=CANCEL_TOOL,
        testbed=word(execution.lab),
        what=f"end of {where[0].lower()}{where[1:]} for everybody",
        arguments={"exec_id": exec_id},
    )
    if (unconfirmed := await permitted(call, change, confirm=arguments.confirm)) is not None:
        return plan_document(unconfirmed)
    watch = await _watch_of(call, job)
    whose = "" if watch is not None else await services.tp.catalogue.whose_execution(exec_id)
    # A caller who leaves must not cut the request in two.
    with anyio.CancelScope(shield=True):
        await services.tp.client.cancel_execution(exec_id)
    if watch is not None and not watch.state.ended:
        step = f"Its watch {watch.id} goes on and reports the end: {watch_documents.wait_call(watch)}."
    else:
        step = f"{look_at_execution(arguments.exec_id)} shows whether it has ended."
    notes = (Paragraph(whose),) if whose else ()
    return Document(f"TP was asked to end {where[0].lower()}{where[1:]}.", notes, step)


async def _ended(where: str, execution: Execution, watch: Watch | None, call: Call, *, exec_id: int) -> Document:
    counts = messages.count_words(counts_of(execution, total_is_planned=False))
    step = ""
    needs_log = True
    if execution.status == DONE:
        outcome = outcome_of(execution, only_collects=watch is not None and watch.outcome is Outcome.LISTING)
        conclusion = f"{where} is Done: {_outcome_words(outcome, counts)}{_took(execution)}."
        needs_log = outcome is not Outcome.PASSED and (not execution.report_file_path or outcome is not Outcome.FAILED)
        if outcome is Outcome.NO_TEST_RAN:
            step = "Look at -k, -m and the test ids before you run it again; list_testcases finds ids."
    else:
        ended = status_words(execution.status)
        conclusion = f"{where} ended as {ended}: pytest did not run to its end ({counts}){_took(execution)}."
    sections = await report_sections(exec_id, execution, call.services, call.owner)
    log = _log_sections(execution, exec_id) if needs_log else _log_note(execution, exec_id)
    return Document(conclusion, (*sections, *log), step)


async def _going_on(where: str, execution: Execution, watch: Watch | None, call: Call, *, exec_id: int) -> Document:
    counts = messages.count_words(counts_of(execution, total_is_planned=False))
    since = ""
    if execution.start_timestamp is not None:
        elapsed = call.services.clock.now() - execution.start_timestamp.timestamp()
        since = f", after {format_duration(elapsed)}"
    conclusion = f"{where} is {status_words(execution.status) or 'of unknown status'}: {counts} so far{since}."
    notes: tuple[Section, ...] = ()
    if watch is None or watch.state.ended:
        whose = await call.services.tp.catalogue.whose_execution(exec_id)
        notes = (Paragraph(whose),) if whose else ()
        start_watch = watch_documents.call_words("start_watch", tool=POLL_TOOL, args={"exec_id": exec_id})
        step = f"{start_watch} watches it to its end."
    else:
        step = f"It is watched; {watch_documents.wait_call(watch)} waits for its end."
    return Document(conclusion, (*notes, *_log_sections(execution, exec_id)), f"Do not start it again. {step}")


def _where(exec_id: int, execution: Execution) -> str:
    return f"Execution {exec_id} on {word(execution.lab) or 'an unknown lab'}"


def _has_ended(execution: Execution) -> bool:
    return execution.status == DONE or execution.status in ENDED_OTHERWISE


async def _watch_of(call: Call, job: str) -> Watch | None:
    watches = await call.services.watches.registry.list(call.owner, all_conversations=True, about=job)
    of_job = [watch for watch in watches if watch.job == job and watch.state is not WatchState.CANCELLED]
    # One that goes on says more than one that has ended.
    return min(of_job, key=lambda watch: watch.state.ended, default=None)


def _outcome_words(outcome: Outcome, counts: str) -> str:
    match outcome:
        case Outcome.NO_TEST_RAN:
            return f"no test ran ({counts}), so nothing was shown to pass"
        case Outcome.LISTING:
            return "tests were listed, none was run"
        case Outcome.UNKNOWN:
            return "TP sent no counts, so the outcome is unknown"
        case Outcome.PASSED | Outcome.FAILED | Outcome.CANCELLED:
            return f"{outcome} ({counts})"
        case _:
            assert_never(outcome)


def _took(execution: Execution) -> str:
    if execution.start_timestamp is None or execution.end_timestamp is None:
        return ""
    return f", in {format_duration((execution.end_timestamp - execution.start_timestamp).total_seconds())}"


async def _read(exec_id: int, call: Call) -> Execution:
    return await read_execution(call.services.tp.client, call.services.results.logs, exec_id, call.owner.principal)


def _log_sections(execution: Execution, exec_id: int) -> tuple[Section, ...]:
    if not execution.log_tail.strip():
        return (Paragraph("Its log is empty." if _has_ended(execution) else "Its log is empty so far."),)
    size = "" if execution.log_size is None else f" of {execution.log_size:,} bytes"
    heading = f"End of the log{size} (TP shows the last 4 KB)"
    return (LogExcerpt(heading=heading, text=execution.log_tail), *_log_note(execution, exec_id))


def _log_note(execution: Execution, exec_id: int) -> tuple[Section, ...]:
    if not execution.log_tail.strip():
        return ()
    read = watch_documents.call_words("read_result", handle=log_handle(exec_id))
    return (Paragraph(f"{read} reads or searches its log, as far as it was seen."),)


async def list_executions(arguments: ListExecutionsArguments, call: Call) -> Document:
    """List the user's recent executions, in TP's order."""
    rows = await call.services.tp.client.list_executions()
    user = word(await call.services.tp.client.username())
    found = [row for row in rows if arguments.lab in {"", row.lab}]
    if not found:
        on = f" on {word(arguments.lab)} among {len(rows)}" if arguments.lab else ""
        return Document(f"TP lists no recent execution of {user}{on}.")
    going_on = sum(1 for row in found if row.in_flight)
    return Document(
        f"{count_of(len(found), 'recent execution')} of {user}; {going_on} running.",
        (ItemList(heading="Executions", items=tuple(map(_summary_line, found)), rest="narrow it with lab"),),
        "get_execution shows one in full.",
    )


def _summary_line(row: ExecutionSummary) -> str:
    number = "unknown id" if row.exec_id is None else str(row.exec_id)
    parts = [status_words(row.status) or "status unknown"]
    if row.progress:
        parts.append(f"progress {word(row.progress)}")
    if row.start_timestamp is not None:
        parts.append(f"started {row.start_timestamp:%Y-%m-%d %H:%M} UTC")
    return f"{number} on {one_line(row.lab) or 'an unknown lab'}: {', '.join(parts)}"


TOOLS = (
    ToolDefinition(
        name="get_execution",
        title="Show a pytest run",
        description=(
            "Show a pytest run: its status and test counts and, once it has ended, each failed test with the failing "
            "line, and the report's URL. Works for any execution, including runs started on TP's own page."
        ),
        arguments=ExecutionArguments,
        run=get_execution,
        read_only=True,
        typical_characters=EXECUTION_TYPICAL_CHARACTERS,
    ),
    ToolDefinition(
        name=CANCEL_TOOL,
        title="Stop a pytest run",
        description=(
            "Stop a pytest run on TP, for everybody. Tests that have not run yet will not run. To stop only the "
            "watching, use cancel_watch."
        ),
        arguments=CancelExecutionArguments,
        run=cancel_execution,
        read_only=False,
        destructive=True,
        idempotent=True,
    ),
)

MORE_TOOLS = (
    ToolDefinition(
        name="list_executions",
        title="List recent executions",
        description=(
            "List your recent pytest executions on TP with status and progress, including those started on TP's own "
            "page. Use it to find the id for get_execution."
        ),
        arguments=ListExecutionsArguments,
        run=list_executions,
        read_only=True,
    ),
)
"""The part of the toolset `labs` that is about executions."""
