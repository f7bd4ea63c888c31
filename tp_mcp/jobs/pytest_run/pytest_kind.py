"""Pytest runs as a kind of job."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pydantic import JsonValue

from tp_mcp.access.policy import Action
from tp_mcp.api.client import TpClient
from tp_mcp.api.models import ExecutionStarted
from tp_mcp.api.requests import PytestRequest
from tp_mcp.connectors.manifest import Manifest
from tp_mcp.errors import TpNotFoundError, TpNotJsonError, TpServerFaultError
from tp_mcp.jobs.kind import JobKind
from tp_mcp.jobs.pytest_run.execution_rule import (
    EXECUTION_RULE,
    ExecutionBaseline,
    ExecutionRule,
    execution_id,
    execution_job,
    highest_exec_id,
    run_title,
)
from tp_mcp.results.text import shorten
from tp_mcp.watch.delivery.messages import call_words
from tp_mcp.watch.model.idempotency import idempotency_key
from tp_mcp.watch.model.reading import Outcome
from tp_mcp.watch.model.watch import Watch
from tp_mcp.watch.registry import Accepted

TESTS_IN_TITLE = 2
TEST_IN_TITLE_MAX_CHARACTERS = 90

_AFTER_A_RUN: Mapping[Outcome | None, str] = {
    Outcome.FAILED: "says why it failed, and what of it is new",
    Outcome.NO_TEST_RAN: "shows the log; look at -k, -m and the test ids before you run it again",
    Outcome.LISTING: "shows the end of the log, where the tests are listed",
}


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A run that passed the guard.

    Attributes:
        sent: the request as TP gets it, its test ids quoted for a shell.
        test_ids: the test ids as pytest gets them: without a leading slash, and not quoted.
    """

    sent: PytestRequest
    test_ids: tuple[str, ...]


class PytestRuns(JobKind[RunRequest]):
    """Runs of pytest on a testbed's controller."""

    name = EXECUTION_RULE
    tool = "run_pytest"
    testbed_argument = "lab"
    action = Action.RUN
    rule = ExecutionRule()

    def testbed(self, request: RunRequest) -> str:
        """Return the testbed that the tests run on."""
        return request.sent.lab

    def title(self, request: RunRequest) -> str:
        """Return the first tests, and where they run."""
        return f"run of {_tests_words(request.test_ids)} on {request.sent.lab}"

    def job(self, request: RunRequest) -> str:
        """Return a key with the testbed; it is replaced once TP has answered with the id of the execution."""
        return f"run:{request.sent.lab}"

    def arguments(self, request: RunRequest) -> dict[str, JsonValue]:
        """Return all four arguments, as they are sent."""
        sent = request.sent
        return {
            "lab": sent.lab,
            "testcase": list(sent.testcase),
            "argument": sent.argument.carried,
            "extra_pytest_options": sent.extra_pytest_options.carried,
        }

    def same_arguments(self, request: RunRequest) -> dict[str, JsonValue]:
        """Return the same with the test ids as pytest gets them, however the caller wrote them."""
        return {**self.arguments(request), "testcase": list(request.test_ids)}

    async def baseline(self, request: RunRequest, client: TpClient) -> JsonValue:
        """Return the testbed, and the highest execution id that there is."""
        baseline = ExecutionBaseline(
            lab=request.sent.lab,
            highest_exec_id=await _highest(client),
            only_collects=request.sent.only_collects,
        )
        return baseline.to_json()

    def duration_groups(self, request: RunRequest) -> tuple[str, ...]:
        """Return the runs of the same tests with the same options on the testbed, and then any run there."""
        sent = request.sent
        if sent.only_collects:
            # It runs no test, so the usual duration of runs is not its own.
            return ()
        options: list[JsonValue] = [sent.argument.carried, sent.extra_pytest_options.carried]
        same = idempotency_key("run", {"testcase": list(request.test_ids), "options": options})
        return (f"run:{sent.lab}:{same}", f"run:{sent.lab}")

    async def send(self, request: RunRequest, client: TpClient) -> JsonValue:
        """Start the run."""
        answer: JsonValue = (await client.start_pytest(request.sent)).model_dump(mode="json")
        return answer

    def accepted(self, request: RunRequest, answer: JsonValue, manifest: Manifest) -> Accepted:
        """Return the key and the title with the id of the execution as well."""
        exec_id = ExecutionStarted.model_validate(answer).exec_id
        return replace(
            super().accepted(request, answer, manifest),
            job=execution_job(exec_id),
            title=run_title(self.title(request), exec_id),
        )

    def look_call(self, watch: Watch) -> str:
        """Return the call that shows the execution; empty while its id is unknown."""
        exec_id = execution_id(watch)
        return "" if exec_id is None else look_at_execution(exec_id)

    def next_step(self, watch: Watch) -> str:
        """Offer the triage of a run that failed, and the execution after any other."""
        exec_id = execution_id(watch)
        if exec_id is None:
            return ""
        failed = watch.outcome is Outcome.FAILED
        look = call_words("triage_execution", {"exec_id": exec_id}) if failed else self.look_call(watch)
        return f"{look} {_AFTER_A_RUN.get(watch.outcome, 'shows it, with its report or log')}."

    def after_cancelled_watch(self, watch: Watch) -> str:
        """Return the call that ends the run."""
        exec_id = execution_id(watch)
        return (
            ""
            if exec_id is None
            else f"{call_words('cancel_execution', {'exec_id': exec_id})} would end the run itself."
        )


def look_at_execution(exec_id: int) -> str:
    """Return the call that shows an execution: `get_execution(exec_id=446)`."""
    return call_words("get_execution", {"exec_id": exec_id})


async def _highest(client: TpClient) -> int | None:
    try:
        return highest_exec_id(await client.list_executions())
    except (TpNotFoundError, TpNotJsonError, TpServerFaultError):
        # Needed only to settle a start that is never answered; an older call that a deployment may lack.
        return None


def _tests_words(test_ids: tuple[str, ...]) -> str:
    first = ", ".join(shorten(test_id, TEST_IN_TITLE_MAX_CHARACTERS) for test_id in test_ids[:TESTS_IN_TITLE])
    more = len(test_ids) - TESTS_IN_TITLE
    return f"{first} and {more} more" if more > 0 else first
