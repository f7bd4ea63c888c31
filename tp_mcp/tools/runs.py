"""Running pytest on a lab."""

import logging
from collections.abc import Awaitable, Callable
from typing import Annotated

from pydantic import Field, JsonValue

from tp_mcp.access.policy import Action
from tp_mcp.api.guard import intended_ids
from tp_mcp.api.requests import PytestRequest
from tp_mcp.errors import StoreError, TpNotFoundError, TpNotJsonError, TpServerFaultError
from tp_mcp.jobs.kinds import PYTEST_RUNS
from tp_mcp.jobs.manifest_specs import async_block, poll_args, spec_of
from tp_mcp.jobs.pytest_run.execution_rule import (
    EXECUTION_RULE,
    ExecutionBaseline,
    execution_job,
    highest_exec_id,
    run_title,
)
from tp_mcp.jobs.pytest_run.pytest_runs import RunRequest
from tp_mcp.results.document import Document
from tp_mcp.results.text import count_of, shorten
from tp_mcp.tools.framework.definition import Call, ToolArguments, ToolDefinition
from tp_mcp.tools.framework.wait import WaitOfStart, check_wait, started
from tp_mcp.tools.reports.triage_view import tests_to_rerun, triaged
from tp_mcp.tools.starts import repeated_call
from tp_mcp.tools.starts.chain_arguments import NOT_OF_THE_REQUEST, OnDone, OnFail, planned
from tp_mcp.tools.starts.concurrent_jobs import going_on_at
from tp_mcp.tools.starts.confirmation import Change, Confirm, DryRun, permitted
from tp_mcp.tools.starts.send import accepted, start
from tp_mcp.watch.model.watch import Origin, Watch
from tp_mcp.watch.registry import Accepted, Intent

logger = logging.getLogger(__name__)

RUN_TOOL = "run_pytest"
TESTS_IN_TITLE = 2
TEST_IN_TITLE_MAX_CHARACTERS = 90
MAX_TESTCASES = 500


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
    on_done: OnDone = None
    on_fail: OnFail = None
    max_wait_seconds: WaitOfStart = 0
    dry_run: DryRun = False
    confirm: Confirm = None


class RerunArguments(ToolArguments):
    """What `rerun_failed` takes."""

    exec_id: Annotated[int, Field(description="Execution id.", gt=0)]
    cluster: Annotated[str, Field(description="A reason's id (s_...) from triage_execution.")] = ""
    confirm: Confirm = None


async def run_pytest(arguments: RunPytestArguments, call: Call) -> Document:
    """Start a run and watch it."""
    return await _run(arguments, call)


async def rerun_failed(arguments: RerunArguments, call: Call) -> Document:
    """Run again what tells most of an execution's failures."""
    told = await triaged(arguments.exec_id, call)
    tests = tests_to_rerun(told, arguments.cluster or None)

    async def remember(watch: Watch) -> None:
        try:
            await call.services.executions.history.add_rerun(
                watch.server, watch.id, arguments.exec_id, now=call.services.clock.now()
            )
        except StoreError as error:
            logger.warning("That %s repeats execution %d was not kept: %s", watch.id, arguments.exec_id, error)

    run = RunPytestArguments(lab=told.read.execution.lab, testcase=list(tests), confirm=arguments.confirm)
    note = (
        f"It runs {count_of(len(tests), 'test')} of execution {arguments.exec_id} again; its end says what changed "
        "against it."
    )
    return await _run(run, call, note=note, on_started=remember)


async def _run(
    arguments: RunPytestArguments,
    call: Call,
    *,
    note: str = "",
    on_started: Callable[[Watch], Awaitable[None]] | None = None,
) -> Document:
    services = call.services
    request = _checked(arguments, call)
    check_wait(arguments.max_wait_seconds, call)
    # As pytest shall get them: without the leading slash that a caller may write, and not quoted for a shell.
    test_ids = intended_ids(arguments.testcase)
    block = async_block(services.manifest, RUN_TOOL)
    # A further call gets what the caller wrote, which the guard quotes anew.
    known: dict[str, JsonValue] = arguments.model_dump(mode="json", exclude=set(NOT_OF_THE_REQUEST))
    plan = planned(call, arguments.on_done, arguments.on_fail, known=known)
    shown: dict[str, JsonValue] = {
        "lab": request.lab,
        "testcase": list(request.testcase),
        "argument": request.argument.carried,
        "extra_pytest_options": request.extra_pytest_options.carried,
    }
    key = await repeated_call.key_of(call, RUN_TOOL, {**shown, "testcase": list(test_ids), **plan.asked})
    again = (
        None if arguments.dry_run else await repeated_call.made_before(call, key, seconds=arguments.max_wait_seconds)
    )
    if again is not None:
        return again
    lab = await services.catalogue.require_lab("lab", request.lab)
    others = await going_on_at(request.lab, call)
    tests_checked = await services.catalogue.require_tests(test_ids)
    await plan.check(call)
    what = f"run of {_tests_words(test_ids)} on {request.lab}"
    change = Change(
        action=Action.RUN,
        tool=RUN_TOOL,
        testbed=request.lab,
        what=what,
        arguments=shown,
        chain=plan.lines,
        later=plan.later,
    )
    told = await permitted(call, change, confirm=arguments.confirm, dry_run=arguments.dry_run)
    if told is not None:
        return told
    baseline = ExecutionBaseline(
        lab=request.lab, highest_exec_id=await _highest(call), only_collects=request.only_collects
    )

    async def send() -> Accepted:
        answer = await services.client.start_pytest(request)
        result = answer.model_dump(mode="json")
        return accepted(
            result,
            lambda: poll_args(block, args=shown, result=result),
            job=execution_job(answer.exec_id),
            title=run_title(what, answer.exec_id),
        )

    intent = Intent(
        owner=call.owner,
        origin=Origin(RUN_TOOL, {**shown, **plan.asked}),
        title=what,
        # Known once TP has answered; until then the lab tells it from other runs.
        job=f"run:{request.lab}",
        spec=plan.of_spec(
            spec_of(block, rule=EXECUTION_RULE, history=PYTEST_RUNS.duration_groups(RunRequest(request, test_ids)))
        ),
        baseline=baseline.to_json(),
        call_key=key,
        chain=plan.chain,
        kind=EXECUTION_RULE,
        testbed=request.lab,
        id=plan.id,
    )
    watch = await start(intent, send, call)
    if watch.id != intent.id:
        return await repeated_call.told(watch, call, seconds=arguments.max_wait_seconds)
    services.inbox.made(call.owner, watch.id)
    if on_started is not None:
        await on_started(watch)
    unchecked = (
        "" if lab is not None else "TP could not tell which labs there are, so the lab's name was not checked.",
        "" if tests_checked else "TP could not tell which tests there are, so the test ids were not checked.",
    )
    return await started(
        watch, call, arguments.max_wait_seconds, notes=tuple(text for text in (note, *others, *unchecked) if text)
    )


async def check_run(arguments: RunPytestArguments, call: Call, unknown: frozenset[str]) -> None:
    """Check a run that is to follow something.

    Raises:
        InputError: it would be refused.
        PolicyError: the operator does not allow it.
        TpError: TP could not be asked.

    """
    _checked(arguments, call)
    if "lab" not in unknown:
        call.services.access.policy.check(Action.RUN, arguments.lab)
        await call.services.catalogue.require_lab("lab", arguments.lab)
    if "testcase" not in unknown:
        await call.services.catalogue.require_tests(intended_ids(arguments.testcase))


def _checked(arguments: RunPytestArguments, call: Call) -> PytestRequest:
    return PytestRequest.checked(
        **arguments.model_dump(exclude=set(NOT_OF_THE_REQUEST)),
        extra_allowed_options=call.services.allowed_pytest_options,
    )


async def _highest(call: Call) -> int | None:
    try:
        return highest_exec_id(await call.services.client.list_executions())
    except (TpNotFoundError, TpNotJsonError, TpServerFaultError):
        # Needed only to settle a start that is never answered; an older call that a deployment may lack.
        return None


def _tests_words(test_ids: tuple[str, ...]) -> str:
    shown = ", ".join(shorten(test_id, TEST_IN_TITLE_MAX_CHARACTERS) for test_id in test_ids[:TESTS_IN_TITLE])
    more = len(test_ids) - TESTS_IN_TITLE
    return f"{shown} and {more} more" if more > 0 else shown


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
        awaits=True,
        destructive=True,
        check=check_run,
        likely={"lab": "T", "testcase": ["Tests"], "argument": "", "extra_pytest_options": ""},
    ),
    ToolDefinition(
        name="rerun_failed",
        title="Run failed tests again",
        description=(
            "Run the failed tests again that tell most: two of each reason, or all of one. Its end says what changed."
        ),
        arguments=RerunArguments,
        run=rerun_failed,
        read_only=False,
        destructive=True,
    ),
)
