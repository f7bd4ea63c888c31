"""The life of a watch while TP is silent, or says nothing that can be used."""

from collections.abc import Callable
from typing import Any

import pytest

from tp_mcp.errors import (
    TpError,
    TpForbiddenError,
    TpNotAuthenticatedError,
    TpNotFoundError,
    TpNotJsonError,
    TpRejectedError,
    TpServerFaultError,
    TpUnreachableError,
)
from tp_mcp.watch.delivery import messages
from tp_mcp.watch.lifecycle import state_machine
from tp_mcp.watch.model.fact import Fact, FactKind
from tp_mcp.watch.model.reading import Interpretation, Reading, Verdict
from tp_mcp.watch.model.watch import Advisory, AdvisoryBegan, AdvisoryEnded, Step, Watch, WatchState

NOW = 1_780_000_000.0
MakeWatch = Callable[..., Watch]


def read(verdict: Verdict = Verdict.UNDERWAY, **fields: Any) -> Interpretation:
    return Interpretation(Reading(verdict=verdict, phase="Running", **fields), None)


def answered(watch: Watch, interpretation: Interpretation, after: float) -> Step:
    return state_machine.observe_answer(watch, interpretation, None, now=watch.created_at + after)


def failed(watch: Watch, failure: TpError, after: float) -> Step:
    return state_machine.observe_failure(watch, failure, now=watch.created_at + after)


def test_silence_is_advised_of_once_and_its_end_too(make_watch: MakeWatch) -> None:
    watch = make_watch()
    first = failed(watch, TpUnreachableError("No route."), 15)
    assert first.watch.advisory is Advisory.UNREACHABLE
    assert first.watch.silent_since == NOW + 15
    assert first.durable
    assert first.notes == (AdvisoryBegan(Advisory.UNREACHABLE),)
    assert messages.note_text(first.notes[0], first.watch) == f"{watch.id}: unreachable: No route."
    second = failed(first.watch, TpUnreachableError("No route."), 30)
    assert (second.durable, second.notes) == (False, ())
    other = failed(second.watch, TpServerFaultError("TP failed."), 45)
    assert (other.durable, other.notes) == (True, ())
    assert other.watch.silent_since == NOW + 15
    back = answered(other.watch, read(), 60)
    assert (back.watch.advisory, back.watch.silent_since) == (None, None)
    assert back.notes == (AdvisoryEnded(Advisory.UNREACHABLE),)
    assert messages.note_text(back.notes[0], back.watch) == f"{watch.id}: no longer unreachable"


def test_a_login_that_does_not_work_is_said_in_its_own_words(make_watch: MakeWatch) -> None:
    step = failed(make_watch(), TpNotAuthenticatedError("The token expired.", remedy="Log in."), 15)
    assert step.notes == (AdvisoryBegan(Advisory.UNREACHABLE),)
    assert step.watch.reason == "The token expired. Log in."


def test_no_time_is_over_before_tp_answered_or_was_silent_for_long(make_watch: MakeWatch) -> None:
    watch = make_watch(spec={"timeout_seconds": 600})
    first = failed(watch, TpUnreachableError("No route."), 90_000)
    assert first.watch.state is WatchState.ACTIVE
    second = failed(first.watch, TpUnreachableError("No route."), 90_599)
    assert second.watch.state is WatchState.ACTIVE
    third = failed(second.watch, TpUnreachableError("No route."), 90_600)
    assert third.watch.state is WatchState.TIMED_OUT
    assert third.watch.fact == Fact(FactKind.LIMIT_REACHED, seconds=600.0)
    assert "No route." in messages.reason_text(third.watch)


def test_long_silence_alone_ends_nothing(make_watch: MakeWatch) -> None:
    watch = make_watch(silent_since=NOW, advisory=Advisory.UNREACHABLE, reason="x")
    assert failed(watch, TpUnreachableError("x"), 3000).watch.state is WatchState.ACTIVE


@pytest.mark.parametrize(
    "failure",
    [
        TpForbiddenError("TP does not permit this user to call get_execution."),
        TpRejectedError("TP accepts no more requests for now.", status_code=429),
        TpNotJsonError("TP's answer to get_execution is an HTML page instead of JSON."),
    ],
)
def test_a_tp_that_answers_with_something_else_is_not_called_unreachable(
    make_watch: MakeWatch, failure: TpError
) -> None:
    watch = make_watch()
    first = failed(watch, failure, 15)
    assert first.watch.advisory is Advisory.NO_STATUS
    assert first.notes == (AdvisoryBegan(Advisory.NO_STATUS),)
    line = f"{watch.id}: TP answers, but without the job's status: {failure.message}"
    assert messages.note_text(first.notes[0], first.watch) == line
    assert messages.progress_line(first.watch, NOW + 15) == f"no status: {failure.message} (15 s)"
    away = failed(first.watch, TpUnreachableError("No route."), 30)
    assert (away.watch.advisory, away.durable) == (Advisory.UNREACHABLE, True)
    gone = failed(first.watch, TpNotFoundError("gone"), 30)
    assert (gone.watch.advisory, gone.watch.reason) == (None, "")
    back = answered(first.watch, read(), 30)
    assert back.notes == (AdvisoryEnded(Advisory.NO_STATUS),)


def test_an_outage_is_not_standing_still(make_watch: MakeWatch) -> None:
    spec = {"stalled_after_seconds": 900.0, "timeout_seconds": 1e6}
    seen = answered(make_watch(spec=spec), read(sign_of_life="a"), 60).watch
    silent = failed(failed(seen, TpUnreachableError("No route."), 120).watch, TpUnreachableError("No route."), 7_000)
    back = answered(silent.watch, read(sign_of_life="a"), 7_200).watch
    assert (back.advisory, back.lively_at) == (None, NOW + 7_200)
    assert answered(back, read(sign_of_life="a"), 8_099).watch.advisory is None
    still = answered(back, read(sign_of_life="a"), 8_100).watch
    assert still.advisory is Advisory.STALLED
    assert still.fact == Fact(FactKind.NO_SIGN_OF_LIFE, seconds=900.0)
    assert messages.reason_text(still) == "It has shown no sign of life for 15 min."


def test_polls_dropped_now_and_then_do_not_hide_a_job_that_stands_still(make_watch: MakeWatch) -> None:
    watch = answered(make_watch(spec={"stalled_after_seconds": 900.0}), read(sign_of_life="a"), 0).watch
    for after in range(30, 1_200, 30):
        dropped = failed(watch, TpUnreachableError("No route."), after)
        watch = answered(dropped.watch, read(sign_of_life="a"), after + 15).watch
    assert watch.advisory is None, "half of the time nobody could see it"
    assert watch.lively_at == NOW + 39 * 15
    for after in range(1_200, 1_600, 30):
        watch = answered(watch, read(sign_of_life="a"), after).watch
    assert watch.advisory is Advisory.STALLED


def test_silence_before_any_sign_of_life_counts_from_the_start(make_watch: MakeWatch) -> None:
    silent = failed(make_watch(lively_at=None), TpUnreachableError("No route."), 100).watch
    assert answered(silent, read(Verdict.STALE), 130).watch.lively_at == NOW + 130
