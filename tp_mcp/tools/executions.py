"""Running pytest on a lab, and how a run stands."""

from typing import Annotated

from pydantic import Field, JsonValue

from tp_mcp.api.client import TpClient
from tp_mcp.api.models import Execution
from tp_mcp.api.requests import PytestRequest
from tp_mcp.errors import InputError, TpNotFoundError, TpNotJsonError, TpServerFaultError
from tp_mcp.jobs.answers import word
from tp_mcp.jobs.execution import (
    DONE,
    ENDED_OTHERWISE,
    EXECUTION_RULE,
    POLL_TOOL,
    ExecutionBaseline,
    counts_of,
    execution_job,
    highest_exec_id,
    outcome_of,
)
from tp_mcp.jobs.specs import async_block, poll_args, spec_of
from tp_mcp.results.document import Document, LogExcerpt, Paragraph, Section
from tp_mcp.results.text import format_duration
from tp_mcp.tools import telling
from tp_mcp.tools.failures import failure_sections
from tp_mcp.tools.sending import accepted
from tp_mcp.tools.toolkit import Call, ToolArguments, ToolDefinition
from tp_mcp.watch import words
from tp_mcp.watch.readings import Outcome
from tp_mcp.watch.registry import Accepted, Intent
from tp_mcp.watch.states import Origin, Watch, WatchState

RUN_TOOL = "run_pytest"
TESTS_IN_TITLE = 2
MAX_TESTCASES = 500

ExecId = Annotated[
    int, Field(description="Execution id, as run_pytest or TP's own page shows it.", examples=[446], gt=0)
]


class RunPytestArguments(ToolArguments):
    """What `run_pytest` takes."""

    lab: Annotated[str, Field(description="Lab (= testbed) name from list_labs.", examples=["AT16_Combined_FSW"])]
    testcase: Annotated[
        list[str],
        Field(
            description="Pytest ids relative to the tests root (no tests/ prefix): directory, file, or "
            "file::Class::test. list_testcases finds them.",
            examples=[["Tests_CLI"], ["Tests_CLI/test_radius.py::TestRadius::test_servers"]],
            min_length=1,
            max_length=MAX_TESTCASES,
        ),
    ]
    argument: Annotated[
        str,
        Field(
            description="Pytest arguments, on the dry run and the real one.",
            examples=["-k 'radius and not flaky' --maxfail=3", "-m sanity"],
        ),
    ] = ""
    extra_pytest_options: Annotated[str, Field(description="Pytest arguments on the real run only.")] = ""


class ExecutionArguments(ToolArguments):
    """What the tools about one execution take."""

    exec_id: ExecId


async def run_pytest(arguments: RunPytestArguments, call: Call) -> Document:
    """Start a run and watch it."""
    services = call.services
    request = PytestRequest.checked(**arguments.model_dump(), extra_allowed_options=services.allowed_pytest_options)
    block = async_block(services.manifest, RUN_TOOL)
    await services.catalogue.require_lab("lab", request.lab)
    checked = await services.catalogue.require_tests(arguments.testcase)
    baseline = ExecutionBaseline(
        lab=request.lab, highest_exec_id=await _highest(call), only_collects=request.only_collects
    )
    shown: dict[str, JsonValue] = {
        "lab": request.lab,
        "testcase": list(request.testcase),
        "argument": request.argument.carried,
        "extra_pytest_options": request.extra_pytest_options.carried,
    }
    tests = _tests_words(arguments.testcase)

    async def send() -> Accepted:
        answer = await services.client.start_pytest(request)
        result = answer.model_dump(mode="json")
        return accepted(
            result,
            lambda: poll_args(block, args=shown, result=result),
            job=execution_job(answer.exec_id),
            title=f"run of {tests} on {request.lab} (execution {answer.exec_id})",
        )

    watch = await services.registry.start(
        Intent(
            owner=call.owner,
            origin=Origin(RUN_TOOL, shown),
            title=f"run of {tests} on {request.lab}",
            # Known once TP has answered; until then the lab tells it from other runs.
            job=f"run:{request.lab}",
            spec=spec_of(block, rule=EXECUTION_RULE),
            baseline=baseline.to_json(),
        ),
        send,
    )
    notes = () if checked else ("TP could not tell which tests there are, so the test ids were not checked.",)
    return telling.started(watch, notes=notes)


async def get_execution(arguments: ExecutionArguments, call: Call) -> Document:
    """Tell how a run stands; once it has ended, with what failed."""
    services = call.services
    execution = await services.client.get_execution(arguments.exec_id)
    job = execution_job(arguments.exec_id)
    await services.inbox.name(call.visit, job=job)
    watch = await _watch_of(call, job)
    only_collects = watch is not None and watch.outcome is Outcome.LISTING
    where = f"Execution {arguments.exec_id} on {word(execution.lab) or 'an unknown lab'}"
    counts = words.count_words(counts_of(execution, total_is_planned=False))
    sections: list[Section] = []
    if execution.status == DONE:
        outcome = outcome_of(execution, only_collects=only_collects)
        conclusion = f"{where} is Done: {_outcome_words(outcome, counts)}{_took(execution)}."
    elif execution.status in ENDED_OTHERWISE:
        conclusion = f"{where} ended as {word(execution.status)}, not by itself: {counts}{_took(execution)}."
    else:
        conclusion = f"{where} is {word(execution.status) or 'of unknown status'}: {counts} so far."
        sections.append(_log(execution))
        step = "Do not start it again. "
        if watch is None:
            step += f'start_watch(tool="{POLL_TOOL}", args={{"exec_id": {arguments.exec_id}}}) watches it to its end.'
        else:
            step += f"It is watched as {watch.id}; wait_for_watch waits for it."
        return Document(conclusion, tuple(sections), step)
    sections.extend(_report(execution, services.client))
    sections.extend(await failure_sections(services.client, execution))
    if outcome_needs_log(execution):
        sections.append(_log(execution))
    return Document(conclusion, tuple(sections))


async def cancel_execution(arguments: ExecutionArguments, call: Call) -> Document:
    """Ask TP to end a run."""
    services = call.services
    execution = await services.client.get_execution(arguments.exec_id)
    where = f"Execution {arguments.exec_id} on {word(execution.lab)}"
    if execution.status == DONE or execution.status in ENDED_OTHERWISE:
        return Document(f"{where} had ended already ({word(execution.status)}); nothing was sent.")
    await services.client.cancel_execution(arguments.exec_id)
    watch = await _watch_of(call, execution_job(arguments.exec_id))
    step = f"get_execution(exec_id={arguments.exec_id}) shows it."
    if watch is not None:
        step = f"Its watch {watch.id} goes on and reports the end."
    return Document(f"TP was asked to end execution {arguments.exec_id} on {word(execution.lab)}.", next_step=step)


def outcome_needs_log(execution: Execution) -> bool:
    """Return whether an ended run has to be explained by its log, because its report lists no failure."""
    broken = (execution.fail_count or 0) + (execution.error_count or 0)
    return not execution.report_file_path or (broken == 0 and not execution.pass_count)


async def _highest(call: Call) -> int | None:
    try:
        return highest_exec_id(await call.services.client.list_executions())
    except (TpNotFoundError, TpNotJsonError, TpServerFaultError):
        # Needed only to settle a start that is never answered; an older call that a deployment may lack.
        return None


async def _watch_of(call: Call, job: str) -> Watch | None:
    watches = await call.services.registry.list(call.owner, all_conversations=True)
    of_job = [watch for watch in watches if watch.job == job and watch.state is not WatchState.CANCELLED]
    return of_job[0] if of_job else None


def _tests_words(test_ids: list[str]) -> str:
    shown = ", ".join(test_ids[:TESTS_IN_TITLE])
    more = len(test_ids) - TESTS_IN_TITLE
    return f"{shown} and {more} more" if more > 0 else shown


def _outcome_words(outcome: Outcome, counts: str) -> str:
    match outcome:
        case Outcome.NO_TEST_RAN:
            return f"no test ran ({counts}), so nothing was shown to pass"
        case Outcome.LISTING:
            return "tests were listed, none was run"
        case Outcome.UNKNOWN:
            return "TP told no counts, so what came of it is not known"
        case Outcome.PASSED | Outcome.FAILED:
            return f"{outcome} ({counts})"


def _took(execution: Execution) -> str:
    if execution.start_timestamp is None or execution.end_timestamp is None:
        return ""
    return f", in {format_duration((execution.end_timestamp - execution.start_timestamp).total_seconds())}"


def _report(execution: Execution, client: TpClient) -> tuple[Section, ...]:
    try:
        return (Paragraph(f"Report: {client.report_url(execution.report_file_path)}"),)
    except InputError:
        # There is none, or its path leads away from TP.
        return ()


def _log(execution: Execution) -> LogExcerpt:
    size = "" if execution.log_size is None else f" of {execution.log_size:,} bytes"
    return LogExcerpt(
        heading=f"End of the log{size} (TP shows the last 4 KB)", text=execution.log_tail, source="log of the execution"
    )


TOOLS = (
    ToolDefinition(
        name=RUN_TOOL,
        title="Run pytest on a lab",
        description=(
            "Run pytest on a lab's controller and watch it to its end in the background. Returns at once; the "
            "first line has the watch's id (w_...). The end, with counts and report, is reported by itself on "
            "the next result of any tool: do not poll in a loop and do not start it again. Shell syntax and "
            "unknown pytest options are refused; quote expressions: -k 'radius and not flaky'. Example: "
            '{"lab": "AT16_Combined_FSW", "testcase": ["Tests_CLI"], "argument": "-m sanity"}'
        ),
        arguments=RunPytestArguments,
        run=run_pytest,
        read_only=False,
        destructive=True,
    ),
    ToolDefinition(
        name="get_execution",
        title="Show a pytest run",
        description=(
            "Show a pytest run: status and counts; once it has ended, every failed and errored test with the "
            "line that failed, and the report's URL. Works for any execution, also one started in TP's own "
            "page."
        ),
        arguments=ExecutionArguments,
        run=get_execution,
        read_only=True,
    ),
    ToolDefinition(
        name="cancel_execution",
        title="End a pytest run",
        description=(
            "End a running pytest execution on TP for everybody; what it has not run stays unrun. cancel_watch "
            "is what only stops the watching."
        ),
        arguments=ExecutionArguments,
        run=cancel_execution,
        read_only=False,
        destructive=True,
        idempotent=True,
    ),
)
