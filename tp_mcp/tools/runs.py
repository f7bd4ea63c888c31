"""Running pytest on a lab."""

import logging
from typing import Annotated

from pydantic import Field

from tp_mcp.access.policy import Action
from tp_mcp.api.guard import intended_ids
from tp_mcp.api.requests import PytestRequest
from tp_mcp.errors import StoreError
from tp_mcp.jobs.kinds import PYTEST_RUNS
from tp_mcp.jobs.pytest_run.pytest_kind import RunRequest
from tp_mcp.results.document import Document
from tp_mcp.results.text import count_of
from tp_mcp.tools.framework.arguments import ToolArguments
from tp_mcp.tools.framework.definition import Call, ToolDefinition
from tp_mcp.tools.framework.wait import WaitOfStart
from tp_mcp.tools.reports.triage_view import tests_to_rerun
from tp_mcp.tools.starts.chain_arguments import NOT_OF_THE_REQUEST, OnDone, OnFail
from tp_mcp.tools.starts.confirmation import Confirm, DryRun
from tp_mcp.tools.starts.start_documents import start_document
from tp_mcp.tools.starts.start_job import Started, StartOutcome, start_job
from tp_mcp.watch.model.watch import Watch

logger = logging.getLogger(__name__)

RUN_TOOL = PYTEST_RUNS.tool
MAX_TESTCASES = 500


class RunPytestArguments(ToolArguments):
    """The arguments of `run_pytest`."""

    lab: Annotated[str, Field(description="Lab (= testbed) name from list_labs.")]
    testcase: Annotated[
        list[str],
        Field(
            description="Test ids from list_testcases, relative to the tests root (without tests/): directory, file, "
            "or file::Class::test.",
            examples=[["Tests_CLI/test_radius.py::TestRadius::test_servers"]],
            min_length=1,
            max_length=MAX_TESTCASES,
        ),
    ]
    argument: Annotated[
        str,
        Field(
            description="pytest arguments, when TP collects the tests and when it runs them.",
            examples=["-k 'radius and not flaky' --maxfail=3"],
        ),
    ] = ""
    extra_pytest_options: Annotated[str, Field(description="pytest arguments for the real run only.")] = ""
    on_done: OnDone = None
    on_fail: OnFail = None
    max_wait_seconds: WaitOfStart = 0
    dry_run: DryRun = False
    confirm: Confirm = None


class RerunArguments(ToolArguments):
    """The arguments of `rerun_failed`."""

    exec_id: Annotated[int, Field(description="Execution id.", gt=0)]
    cluster: Annotated[str, Field(description="Id of one failure reason (s_...) from triage_execution.")] = ""
    confirm: Confirm = None


async def run_pytest(arguments: RunPytestArguments, call: Call) -> Document:
    """Start a run and watch it."""
    outcome = await start_run(arguments, call)
    return await start_document(outcome, call, max_wait_seconds=arguments.max_wait_seconds)


async def start_run(arguments: RunPytestArguments, call: Call, *, note: str = "") -> StartOutcome:
    """Start a run, and return the outcome; `note` is a sentence for the result.

    Raises:
        InputError: the guard refuses an argument.
        QuestionForUser: the client's user has to answer first.
    """
    request = _checked(arguments, call)

    async def check_tests() -> str:
        tests = await call.services.tp.catalogue.require_tests(request.test_ids)
        return "" if tests else "TP could not tell which tests there are, so the test ids were not checked."

    return await start_job(
        PYTEST_RUNS,
        request,
        call,
        on_done=arguments.on_done,
        on_fail=arguments.on_fail,
        # A further call gets the text that the caller wrote, and the guard quotes it again.
        written=arguments.model_dump(mode="json", exclude=set(NOT_OF_THE_REQUEST)),
        max_wait_seconds=arguments.max_wait_seconds,
        dry_run=arguments.dry_run,
        confirm=arguments.confirm,
        check=check_tests,
        note=note,
    )


async def rerun_failed(arguments: RerunArguments, call: Call) -> Document:
    """Run an execution's most telling failures again."""
    analysis = await call.services.tp.executions.triage(arguments.exec_id, principal=call.owner.principal)
    tests = tests_to_rerun(analysis, arguments.cluster or None)
    run = RunPytestArguments(lab=analysis.execution.lab, testcase=list(tests), confirm=arguments.confirm)
    note = (
        f"It runs {count_of(len(tests), 'test')} of execution {arguments.exec_id} again; its end says what changed "
        "against it."
    )
    outcome = await start_run(run, call, note=note)
    if isinstance(outcome, Started):
        await _remember_rerun(outcome.watch, arguments.exec_id, call)
    return await start_document(outcome, call)


async def _remember_rerun(watch: Watch, exec_id: int, call: Call) -> None:
    services = call.services
    try:
        await services.tp.executions.history.add_rerun(watch.server, watch.id, exec_id, now=services.clock.now())
    except StoreError as error:
        logger.warning("That %s repeats execution %d was not kept: %s", watch.id, exec_id, error)


async def check_run(arguments: RunPytestArguments, call: Call, unknown: frozenset[str]) -> None:
    """Check a run that is a later step of a chain.

    Raises:
        InputError: the run would be refused.
        PolicyError: the operator does not allow the run.
        TpError: TP could not be asked.
    """
    _checked(arguments, call)
    if "lab" not in unknown:
        call.services.access.policy.check(Action.RUN, arguments.lab)
        await call.services.tp.catalogue.require_lab("lab", arguments.lab)
    if "testcase" not in unknown:
        await call.services.tp.catalogue.require_tests(intended_ids(arguments.testcase))


def _checked(arguments: RunPytestArguments, call: Call) -> RunRequest:
    sent = PytestRequest.checked(
        **arguments.model_dump(exclude=set(NOT_OF_THE_REQUEST)),
        extra_allowed_options=call.services.starts.allowed_pytest_options,
    )
    return RunRequest(sent, intended_ids(arguments.testcase))


RUN_PYTEST = ToolDefinition(
    name=RUN_TOOL,
    title="Run pytest on a lab",
    description=(
        "Run pytest on a lab and watch the run in the background. Returns at once; the first line of the result "
        "has the watch id (w_...). The end, with test counts and the report's URL, is reported on the next result "
        "of any tool: do not poll in a loop and do not start it again. Shell syntax and unknown pytest options are "
        "refused; quote expressions: -k 'radius and not flaky'. Example: "
        '{"lab": "AT16_Combined_FSW", "testcase": ["Tests_CLI"], "argument": "-m sanity"}'
    ),
    arguments=RunPytestArguments,
    run=run_pytest,
    read_only=False,
    awaits=True,
    destructive=True,
    check=check_run,
    likely={"lab": "T", "testcase": ["Tests"], "argument": "", "extra_pytest_options": ""},
)

TOOLS = (
    RUN_PYTEST,
    ToolDefinition(
        name="rerun_failed",
        title="Rerun failed tests",
        description=(
            "Rerun the most informative failed tests of a run: two for each failure reason, or all tests of one "
            "reason. The end of the new run says what changed."
        ),
        arguments=RerunArguments,
        run=rerun_failed,
        read_only=False,
        destructive=True,
    ),
)
