"""The rule of executions.

`Done` says only that pytest ended. The outcome is read from the counts, and a run in which no test ran never passed.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from pydantic import JsonValue, TypeAdapter

from tp_mcp.api.endpoints import report_url
from tp_mcp.api.lenient import each_valid, parsed, rows_of
from tp_mcp.api.models import Execution, ExecutionSummary
from tp_mcp.errors import InputError, TpNotJsonError
from tp_mcp.redaction import one_line
from tp_mcp.results.statuses import status_words, word
from tp_mcp.results.text import shorten
from tp_mcp.watch.model.reading import Counts, Interpretation, Outcome, Reading, Settlement, Verdict
from tp_mcp.watch.model.watch import Watch

EXECUTION_RULE = "execution"
POLL_TOOL = "get_execution"
LIST_TOOL = "list_executions"
DONE = "Done"
CANCELLED = "Cancelled"
ENDED_OTHERWISE = frozenset({"Failed", CANCELLED})
LAB_MAX_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class ExecutionBaseline:
    """The state of TP before a run was started.

    Attributes:
        lab: the lab that it runs on; None if unknown.
        highest_exec_id: the highest execution id; a run that is started later has a higher one. None if unknown.
        only_collects: the run lists tests and runs none.
    """

    lab: str | None = None
    highest_exec_id: int | None = None
    only_collects: bool = False

    def to_json(self) -> JsonValue:
        """Return the baseline as JSON, to be kept with a watch."""
        as_json: JsonValue = _BASELINE.dump_python(replace(self, lab=self.lab and lab_words(self.lab)), mode="json")
        return as_json


@dataclass(frozen=True, slots=True)
class ExecutionMemory:
    """The total of the last poll, and whether it is the planned number of tests and not a running sum."""

    total: int | None = None
    planned: bool = False


_BASELINE = TypeAdapter(ExecutionBaseline)
_MEMORY = TypeAdapter(ExecutionMemory)


def lab_words(lab: str) -> str:
    """Return a lab's name as it is kept and compared: TP may send one of any length."""
    return shorten(one_line(lab), LAB_MAX_CHARACTERS)


def execution_job(exec_id: int) -> str:
    """Return the key of an execution."""
    return f"execution:{exec_id}"


def execution_id(watch: Watch) -> int | None:
    """Return the id of the watched execution; None for another kind of job, and before TP has answered the start."""
    exec_id = watch.spec.args.get("exec_id") if watch.kind == EXECUTION_RULE else None
    return exec_id if isinstance(exec_id, int) else None


def run_title(title: str, exec_id: int) -> str:
    """Return the title of a run whose execution id is known."""
    return f"{title} (execution {exec_id})"


def highest_exec_id(executions: Iterable[ExecutionSummary]) -> int:
    """Return the highest number among executions; 0 where there are none."""
    return max((execution.exec_id or 0 for execution in executions), default=0)


def outcome_of(execution: Execution, *, only_collects: bool) -> Outcome:
    """Return the outcome of an execution whose status is `Done`."""
    if (execution.fail_count or 0) > 0 or (execution.error_count or 0) > 0:
        # Also of a listing: a file that cannot be collected is an error.
        return Outcome.FAILED
    if only_collects:
        return Outcome.LISTING
    if execution.pass_count is None and execution.fail_count is None and execution.error_count is None:
        return Outcome.UNKNOWN
    return Outcome.PASSED if (execution.pass_count or 0) > 0 else Outcome.NO_TEST_RAN


def counts_of(execution: Execution, *, total_is_planned: bool) -> Counts:
    """Return an execution's counts; the total only if it is known to be the planned number of tests."""
    return Counts(
        passed=execution.pass_count,
        failed=execution.fail_count,
        skipped=execution.skip_count,
        errors=execution.error_count,
        total=execution.total_count if total_is_planned else None,
    )


class ExecutionRule:
    """Interprets the execution of a pytest run."""

    def interpret(self, watch: Watch, answer: JsonValue) -> Interpretation:
        """Return the reading of an execution.

        Raises:
            TpNotJsonError: the answer has not the shape that TP promises.
        """
        execution = parsed(Execution, answer)
        if not execution.status:
            raise TpNotJsonError("TP's answer has no status of the execution.")
        baseline = _baseline(watch)
        if baseline.lab is not None and execution.lab and lab_words(execution.lab) != baseline.lab:
            detail = f"Its number now belongs to a run on {word(execution.lab)}, not on {word(baseline.lab)}"
            reading = Reading(verdict=Verdict.FOREIGN, phase=status_words(execution.status), detail=detail)
            return Interpretation(reading, watch.memory)
        memory = _with_total(_memory(watch), execution)
        verdict = _verdict(execution)
        counts = counts_of(execution, total_is_planned=memory.planned and verdict is Verdict.UNDERWAY)
        reading = Reading(
            verdict=verdict,
            phase=status_words(execution.status),
            outcome=_outcome(execution, verdict, only_collects=baseline.only_collects),
            sign_of_life=f"{status_words(execution.status)} {execution.log_size}",
            broken=counts.broken > 0,
            counts=counts,
            detail=_detail(execution, verdict),
            report_url=_report_url(watch.server, execution),
            took_seconds=_took(execution) if verdict is Verdict.DONE else None,
        )
        return Interpretation(reading, _MEMORY.dump_python(memory, mode="json"))

    def settling_read(self, _watch: Watch) -> tuple[str, Mapping[str, JsonValue]]:
        """Return the call that lists the user's executions."""
        return LIST_TOOL, {}

    def settle(self, watch: Watch, answer: JsonValue, *, taken: Collection[str]) -> Settlement:
        """Look for a run whose start was never answered: the first execution above the baseline on its lab.

        Raises:
            TpNotJsonError: the answer has not the shape that TP promises.
        """
        baseline = _baseline(watch)
        if baseline.highest_exec_id is None:
            return Settlement(started=False, evidence="the executions before the request are not known.")
        rows = rows_of(answer)
        if rows is None:
            raise TpNotJsonError("TP's answer has no list of executions.")
        later = [
            execution.exec_id
            for execution in each_valid(ExecutionSummary, rows)
            if execution.exec_id is not None
            and execution.exec_id > baseline.highest_exec_id
            and lab_words(execution.lab) == baseline.lab
            and execution_job(execution.exec_id) not in taken
        ]
        if not later:
            evidence = (
                f"TP lists no execution above {baseline.highest_exec_id} on {baseline.lab} that could be this one."
            )
            return Settlement(started=False, evidence=evidence)
        exec_id = min(later)
        return Settlement(
            started=True,
            answer={"exec_id": exec_id, "lab": baseline.lab},
            spec_args={"exec_id": exec_id},
            job=execution_job(exec_id),
            title=run_title(watch.title, exec_id),
            evidence=f"execution {exec_id} on {baseline.lab} began after the request was sent.",
        )


def _report_url(server: str, execution: Execution) -> str | None:
    try:
        return report_url(server, execution.report_file_path)
    except InputError:
        # There is none yet, or its path leads away from TP: nothing to send a reader to.
        return None


def _verdict(execution: Execution) -> Verdict:
    if execution.status == DONE:
        return Verdict.DONE
    return Verdict.FAILED if execution.status in ENDED_OTHERWISE else Verdict.UNDERWAY


def _outcome(execution: Execution, verdict: Verdict, *, only_collects: bool) -> Outcome | None:
    if verdict is Verdict.DONE:
        return outcome_of(execution, only_collects=only_collects)
    return Outcome.CANCELLED if execution.status == CANCELLED else None


def _detail(execution: Execution, verdict: Verdict) -> str:
    # The outcome says that it was cancelled.
    failed = verdict is Verdict.FAILED and execution.status != CANCELLED
    return f"TP ended it with status {word(execution.status)}" if failed else ""


def _took(execution: Execution) -> float | None:
    if execution.start_timestamp is None or execution.end_timestamp is None:
        return None
    took = (execution.end_timestamp - execution.start_timestamp).total_seconds()
    return took if took > 0 else None


def _with_total(before: ExecutionMemory, execution: Execution) -> ExecutionMemory:
    total = execution.total_count
    finished = counts_of(execution, total_is_planned=False).finished
    # During a run the total may be the planned number of tests or a running sum. It counts as planned once it is the
    # same in two polls and exceeds the number of finished tests.
    planned = total is not None and total == before.total and (before.planned or total > finished)
    return ExecutionMemory(total, planned)


def _baseline(watch: Watch) -> ExecutionBaseline:
    return ExecutionBaseline() if watch.baseline is None else _BASELINE.validate_python(watch.baseline)


def _memory(watch: Watch) -> ExecutionMemory:
    return ExecutionMemory() if watch.memory is None else _MEMORY.validate_python(watch.memory)
