"""The reading of an execution: its progress, its outcome, its end."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import JsonValue

from tp_mcp.api.models import Execution, ExecutionSummary
from tp_mcp.errors import TpNotFoundError, TpNotJsonError
from tp_mcp.jobs.pytest_run.execution_rule import (
    LIST_TOOL,
    ExecutionBaseline,
    ExecutionRule,
    counts_of,
    execution_job,
    highest_exec_id,
    outcome_of,
)
from tp_mcp.watch.delivery import messages
from tp_mcp.watch.model.reading import Counts, Outcome, Verdict
from tp_mcp.watch.model.watch import Advisory, Watch, WatchState

SERVER = "http://tp.example:8000"
RULE = ExecutionRule()
ON_AT16 = ExecutionBaseline(lab="AT16", highest_exec_id=445)
MakeWatch = Callable[..., Watch]
Follow = Callable[..., list[Watch]]


def get(status: str, *, lab: str = "AT16", size: int | None = 100, **fields: JsonValue) -> dict[str, JsonValue]:
    return {"exec_id": 446, "status": status, "lab": lab, "log_size": size, **fields}


def counted(passed: Any = None, failed: Any = None, skipped: Any = None, errors: Any = None, total: Any = None) -> Any:
    return {
        "pass_count": passed,
        "fail_count": failed,
        "skip_count": skipped,
        "error_count": errors,
        "total_count": total,
    }


@pytest.mark.parametrize(
    ("counts", "only_collects", "outcome"),
    [
        (counted(3, 0, 0, 0, 3), False, Outcome.PASSED),
        (counted(3), False, Outcome.PASSED),
        (counted("3", "0"), False, Outcome.PASSED),
        (counted(3, 1), False, Outcome.FAILED),
        (counted(3, 0, 0, 1), False, Outcome.FAILED),
        (counted(None, None, None, 1), False, Outcome.FAILED),
        (counted(0, 0, 0, 0, 0), False, Outcome.NO_TEST_RAN),
        (counted(0, 0, 4, 0, 4), False, Outcome.NO_TEST_RAN),
        (counted(None, 0), False, Outcome.NO_TEST_RAN),
        (counted(-1, 0), False, Outcome.NO_TEST_RAN),
        (counted(), False, Outcome.UNKNOWN),
        (counted(total=5), False, Outcome.UNKNOWN),
        (counted(0, 0, 0, 0, 0), True, Outcome.LISTING),
        (counted(), True, Outcome.LISTING),
        (counted(0, 0, 0, 2), True, Outcome.FAILED),
    ],
)
def test_what_a_run_came_to_is_read_from_its_counts(
    counts: dict[str, Any], only_collects: bool, outcome: Outcome
) -> None:
    execution = Execution.model_validate(get("Done", **counts))
    assert outcome_of(execution, only_collects=only_collects) is outcome


def test_a_run_in_which_nothing_ran_never_passed(run_watch: MakeWatch, follow: Follow) -> None:
    done = follow(run_watch(ON_AT16), RULE, [get("Done", **counted(0, 0, 3, 0, 3))])[-1]
    assert (done.state, done.outcome) == (WatchState.DONE, Outcome.NO_TEST_RAN)
    assert "no test ran (3 skipped), so nothing was shown to pass" in messages.end_message(done)


def test_a_listing_is_no_run(run_watch: MakeWatch, follow: Follow) -> None:
    watch = run_watch(replace(ON_AT16, only_collects=True))
    assert follow(watch, RULE, [get("Done", **counted(0, 0, 0, 0, 0))])[-1].outcome is Outcome.LISTING


def test_a_run_is_followed_from_initiating_to_done(run_watch: MakeWatch, follow: Follow) -> None:
    walked = follow(
        run_watch(ON_AT16),
        RULE,
        [
            get("Initiating", size=None),
            get("Running", size=10),
            get("Running", size=90, **counted(5, 1, 0, 0, 60)),
            get("Done", size=99, report_file_path="data/r.html", **counted(50, 10, 0, 0, 60)),
        ],
    )
    assert [each.state for each in walked] == [*[WatchState.ACTIVE] * 3, WatchState.DONE]
    assert walked[-1].outcome is Outcome.FAILED
    reading = walked[-1].reading
    assert reading is not None
    assert reading.counts == Counts(50, 10, 0, 0, None)
    assert reading.report_url == f"{SERVER}/data/r.html"
    assert [each.lively_at for each in walked] == [walked[0].since + 15 * number for number in range(1, 5)]


def test_a_run_that_tp_gave_up_failed_without_an_outcome(run_watch: MakeWatch, follow: Follow) -> None:
    failed = follow(run_watch(ON_AT16), RULE, [get("Failed", **counted(5))])[-1]
    assert (failed.state, failed.outcome) == (WatchState.FAILED, None)
    assert failed.reason == "TP ended it with status Failed"


def test_a_run_that_somebody_ended_is_said_to_be_cancelled_once(run_watch: MakeWatch, follow: Follow) -> None:
    cancelled = follow(run_watch(ON_AT16), RULE, [get("Cancelled", **counted(5))])[-1]
    assert (cancelled.state, cancelled.outcome, cancelled.reason) == (WatchState.FAILED, Outcome.CANCELLED, "")
    assert " was cancelled on TP (5 passed), after " in messages.end_message(cancelled).splitlines()[0]


@pytest.mark.parametrize(
    ("began", "ended", "took"),
    [
        ("2026-05-28T10:00:00Z", "2026-05-28T10:05:30Z", 330.0),
        ("1780000000", 1780000012.5, 12.5),
        ("2026-05-28T10:00:00Z", "2026-05-28T10:00:00Z", None),
        ("2026-05-28T10:00:00Z", "2026-05-28T09:00:00Z", None),
        (None, "2026-05-28T09:00:00Z", None),
        ("2026-05-28T10:00:00Z", None, None),
    ],
)
def test_how_long_a_run_took_is_told_by_tps_own_timestamps(
    run_watch: MakeWatch, began: JsonValue, ended: JsonValue, took: float | None
) -> None:
    times: Any = {"start_timestamp": began, "end_timestamp": ended}
    assert RULE.interpret(run_watch(ON_AT16), get("Done", **times)).reading.took_seconds == took
    assert RULE.interpret(run_watch(ON_AT16), get("Running", **times)).reading.took_seconds is None


def test_a_word_that_tp_does_not_promise_is_no_end(run_watch: MakeWatch, follow: Follow) -> None:
    assert follow(run_watch(ON_AT16), RULE, [get("Que\x1b[31mued")])[-1].reading.phase == '"Queued"'  # type: ignore[union-attr] # it was read


def test_a_number_that_belongs_to_another_labs_run_is_lost(run_watch: MakeWatch, follow: Follow) -> None:
    running = get("Running", **counted(5, 1))
    walked = follow(run_watch(ON_AT16), RULE, [running, get("Done", lab="AT\x0717", **counted(9, 0))])
    assert [each.state for each in walked] == [WatchState.ACTIVE, WatchState.LOST]
    message = messages.end_message(walked[-1])
    assert "belongs to a run on AT17, not on AT16" in message
    assert "Last known: Running, 5 passed, 1 failed" in message
    assert "9 passed" not in message


@pytest.mark.parametrize("baseline", [None, ExecutionBaseline(lab=None)])
def test_where_the_lab_is_not_known_any_will_do(
    run_watch: MakeWatch, follow: Follow, baseline: ExecutionBaseline | None
) -> None:
    assert follow(run_watch(baseline), RULE, [get("Done", lab="X", **counted(1))])[-1].outcome is Outcome.PASSED
    assert follow(run_watch(ON_AT16), RULE, [get("Done", lab="", **counted(1))])[-1].outcome is Outcome.PASSED


def test_an_execution_that_is_gone_is_lost_after_three_404s_over_two_minutes(
    run_watch: MakeWatch, follow: Follow
) -> None:
    gone = TpNotFoundError("No such execution.")
    walked = follow(run_watch(ON_AT16), RULE, [get("Running"), *[gone] * 10])
    assert [each.state for each in walked].index(WatchState.LOST) == 9
    assert (walked[9].missing_polls, walked[9].ended_at) == (9, walked[9].since + 150)
    back = follow(run_watch(ON_AT16), RULE, [gone, gone, get("Running"), *[gone] * 8])
    assert {each.state for each in back} == {WatchState.ACTIVE}
    slow = follow(run_watch(ON_AT16), RULE, [gone] * 3, every=60.0)
    assert [each.state for each in slow] == [WatchState.ACTIVE, WatchState.ACTIVE, WatchState.LOST]


def test_a_total_counts_once_it_stood_still_above_what_had_finished(run_watch: MakeWatch, follow: Follow) -> None:
    walked = follow(
        run_watch(ON_AT16),
        RULE,
        [
            get("Running", **counted(5, 1, 0, 0, 60)),
            get("Running", **counted(9, 1, 0, 0, 60)),
            get("Running", **counted(55, 5, 0, 0, 60)),
            get("Running", **counted(55, 6, 0, 0, 61)),
            get("Running", **counted(55, 6, 0, 0, 61)),
            get("Running", **counted(55, 6)),
        ],
    )
    assert [each.reading.counts.total for each in walked] == [None, 60, 60, None, None, None]  # type: ignore[union-attr] # each was read


def test_a_running_sum_is_never_taken_for_the_plan(run_watch: MakeWatch, follow: Follow) -> None:
    sums = [get("Running", **counted(number, 0, 0, 0, number)) for number in (1, 4, 4, 9)]
    walked = follow(run_watch(ON_AT16), RULE, sums)
    assert {each.reading.counts.total for each in walked} == {None}  # type: ignore[union-attr] # each was read


def test_counts_are_tps_own_with_the_total_only_where_it_is_the_plan() -> None:
    execution = Execution.model_validate(get("Running", **counted(1, 2, 3, 4, 60)))
    assert counts_of(execution, total_is_planned=True) == Counts(1, 2, 3, 4, 60)
    assert counts_of(execution, total_is_planned=False) == Counts(1, 2, 3, 4, None)


@pytest.mark.parametrize(
    "path", ["", "../../etc/passwd", "http://elsewhere.example/r.html", "//elsewhere/r.html", None]
)
def test_a_report_that_leads_elsewhere_is_not_linked(run_watch: MakeWatch, follow: Follow, path: str | None) -> None:
    done = follow(run_watch(ON_AT16), RULE, [get("Done", report_file_path=path, **counted(1))])[-1]
    assert done.reading is not None
    assert done.reading.report_url is None


def test_a_run_whose_log_stands_still_is_advised_of(run_watch: MakeWatch, follow: Follow) -> None:
    walked = follow(run_watch(ON_AT16), RULE, [get("Running", size=7)] * 62)
    assert walked[59].advisory is None
    assert walked[60].advisory is Advisory.STALLED
    moved = RULE.interpret(walked[-1], get("Running", size=8)).reading.sign_of_life
    assert moved != RULE.interpret(walked[-1], get("Running", size=7)).reading.sign_of_life


@pytest.mark.parametrize("answer", [None, [], "Done", {}, {"status": None}, {"error": "no such execution"}])
def test_an_answer_that_is_no_execution_is_said_and_changes_nothing(
    run_watch: MakeWatch, follow: Follow, answer: JsonValue
) -> None:
    with pytest.raises(TpNotJsonError):
        RULE.interpret(run_watch(ON_AT16), answer)
    walked = follow(run_watch(ON_AT16), RULE, [answer, get("Done", **counted(1))])
    assert [each.state for each in walked] == [WatchState.ACTIVE, WatchState.DONE]


@pytest.mark.parametrize(
    "fields", [{"pass_count": "many", "log_size": []}, {"pass_count": True}, {"log_tail": 7, "lab": {}}]
)
def test_oddly_typed_fields_are_not_known(run_watch: MakeWatch, follow: Follow, fields: dict[str, JsonValue]) -> None:
    done = follow(run_watch(ON_AT16), RULE, [get("Done") | fields])[-1]
    assert (done.state, done.outcome) == (WatchState.DONE, Outcome.UNKNOWN)


# Starts that were never answered --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "started"),
    [
        ([], None),
        ([{"exec_id": 445, "lab": "AT16"}], None),
        ([{"exec_id": 446, "lab": "AT17"}], None),
        ([{"exec_id": 446, "lab": "AT16"}, {"exec_id": 445, "lab": "AT16"}], 446),
        ([{"exec_id": 449, "lab": "AT16"}, {"exec_id": 447, "lab": "AT16"}], 447),
        ([{"id": "446", "lab_name": "AT16"}, None, {"lab": "AT16"}], 446),
        ({"data": [{"exec_id": 446, "lab": "AT16"}]}, 446),
    ],
)
def test_an_unanswered_start_is_the_first_execution_above_the_baseline_on_its_lab(
    run_watch: MakeWatch, rows: JsonValue, started: int | None
) -> None:
    watch = replace(run_watch(ON_AT16), state=WatchState.STARTING)
    assert RULE.settling_read(watch) == (LIST_TOOL, {})
    settlement = RULE.settle(watch, rows, taken=())
    assert settlement.started is (started is not None)
    if started is None:
        assert settlement.evidence == "TP lists no execution above 445 on AT16 that could be this one."
    else:
        assert settlement.answer == {"exec_id": started, "lab": "AT16"}
        assert settlement.spec_args == {"exec_id": started}
        assert settlement.job == execution_job(started) == f"execution:{started}"
        assert settlement.title == f"{watch.title} (execution {started})"


def test_an_execution_that_another_watch_started_is_not_taken_for_it(run_watch: MakeWatch) -> None:
    watch = replace(run_watch(ON_AT16), state=WatchState.STARTING)
    rows: JsonValue = [{"exec_id": 446, "lab": "AT16"}, {"exec_id": 447, "lab": "AT16"}]
    assert RULE.settle(watch, rows, taken={execution_job(446)}).job == execution_job(447)
    assert not RULE.settle(watch, rows, taken={execution_job(446), execution_job(447)}).started


def test_without_a_baseline_nothing_can_be_told(run_watch: MakeWatch) -> None:
    settlement = RULE.settle(run_watch(ExecutionBaseline(lab="AT16")), [{"exec_id": 446, "lab": "AT16"}], taken=())
    assert not settlement.started
    assert "are not known" in settlement.evidence


@pytest.mark.parametrize("answer", [None, "none", {"error": "no such user"}])
def test_an_answer_that_is_no_list_settles_nothing(run_watch: MakeWatch, answer: JsonValue) -> None:
    with pytest.raises(TpNotJsonError, match="no list of executions"):
        RULE.settle(run_watch(ON_AT16), answer, taken=())


def test_a_lab_of_any_length_is_kept_short_and_known_again(run_watch: MakeWatch, follow: Follow) -> None:
    lab = "AT\x07" + "y" * 1_000_000
    baseline = ExecutionBaseline(lab=lab, highest_exec_id=445)
    assert len(str(baseline.to_json())) < 400
    walked = follow(run_watch(baseline), RULE, [get("Running", lab=lab), get("Done", lab=lab, **counted(9, 0))])
    assert walked[-1].state is WatchState.DONE
    rows: JsonValue = [{"exec_id": 446, "lab": lab}]
    assert RULE.settle(run_watch(baseline), rows, taken=()).started


def test_the_highest_number_is_the_baseline() -> None:
    rows = [ExecutionSummary.model_validate(row) for row in ({"exec_id": 4}, {"exec_id": 9}, {"lab": "AT16"})]
    assert highest_exec_id(rows) == 9
    assert highest_exec_id([]) == 0


def test_each_verdict_occurs(run_watch: MakeWatch) -> None:
    told = {RULE.interpret(run_watch(ON_AT16), get(status)).reading.verdict for status in ("Running", "Done", "Failed")}
    assert told == {Verdict.UNDERWAY, Verdict.DONE, Verdict.FAILED}


@pytest.mark.parametrize(
    ("counts", "broken"), [(counted(3, 0), False), (counted(3, 1), True), (counted(errors=1), True)]
)
def test_a_run_in_which_something_failed_is_told_so_while_it_goes_on(
    run_watch: Callable[..., Watch], counts: dict[str, Any], broken: bool
) -> None:
    assert RULE.interpret(run_watch(), get("Running", **counts)).reading.broken is broken
