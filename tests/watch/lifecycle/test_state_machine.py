"""The life of a watch: every observation, in every order."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import JsonValue

from tp_mcp.errors import TpError, TpNotFoundError, TpServerFaultError, TpUnreachableError
from tp_mcp.watch.delivery.messages import inbox_entry, note_text, reason_text
from tp_mcp.watch.lifecycle import answer_retention, chain_steps, state_machine
from tp_mcp.watch.model.fact import Fact, FactKind
from tp_mcp.watch.model.reading import Interpretation, Outcome, Reading, Settlement, Verdict
from tp_mcp.watch.model.watch import Advisory, AdvisoryBegan, AdvisoryEnded, StartFound, Step, Watch, WatchState

NOW = 1_780_000_000.0
MakeWatch = Callable[..., Watch]


def read(verdict: Verdict = Verdict.UNDERWAY, memory: JsonValue = None, **fields: Any) -> Interpretation:
    return Interpretation(Reading(verdict=verdict, phase=fields.pop("phase", "Running"), **fields), memory)


def answered(watch: Watch, interpretation: Interpretation, after: float, answer: JsonValue = None) -> Step:
    return state_machine.observe_answer(watch, interpretation, answer, now=watch.created_at + after)


def failed(watch: Watch, failure: TpError, after: float) -> Step:
    return state_machine.observe_failure(watch, failure, now=watch.created_at + after)


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        (Verdict.STALE, WatchState.ACTIVE),
        (Verdict.UNDERWAY, WatchState.ACTIVE),
        (Verdict.DONE, WatchState.DONE),
        (Verdict.FAILED, WatchState.FAILED),
        (Verdict.FOREIGN, WatchState.LOST),
    ],
)
def test_each_verdict_has_its_state_and_only_an_end_has_an_entry(
    make_watch: MakeWatch, verdict: Verdict, state: WatchState
) -> None:
    step = answered(make_watch(), read(verdict, detail="why"), 15, {"status": "x"})
    assert step.watch.state is state
    assert (inbox_entry(step) is not None) is state.ended
    assert step.watch.polls == 1
    assert step.watch.polled_at == NOW + 15
    entry = inbox_entry(step)
    if entry is not None:
        assert step.durable
        assert entry.watch_id == step.watch.id
        assert entry.created_at == step.watch.ended_at == NOW + 15
        assert step.watch.reason == "why"


def test_an_outcome_comes_with_the_end(make_watch: MakeWatch) -> None:
    step = answered(make_watch(), read(Verdict.DONE, outcome=Outcome.NO_TEST_RAN), 15)
    assert step.watch.outcome is Outcome.NO_TEST_RAN
    entry = inbox_entry(step)
    assert entry is not None
    assert "no test ran" in entry.text


def test_what_a_foreign_job_says_is_not_taken_for_this_ones(make_watch: MakeWatch) -> None:
    own = answered(make_watch(), read(phase="Running", memory="mine"), 15, {"status": "Running"}).watch
    step = answered(own, read(Verdict.FOREIGN, memory="theirs", phase="Done"), 30, {"status": "Done"})
    assert step.watch.state is WatchState.LOST
    assert step.watch.reading == own.reading
    assert step.watch.memory == "mine"
    assert step.watch.last_answer == {"status": "Running"}


def test_an_answer_that_changes_nothing_is_not_written_at_once(make_watch: MakeWatch) -> None:
    first = answered(make_watch(), read(memory=[1]), 15)
    assert first.durable
    assert not answered(first.watch, read(memory=[1]), 30).durable
    assert answered(first.watch, read(memory=[1, 2]), 30).durable
    assert answered(first.watch, read(memory=[1], phase="Stopping"), 30).durable


def test_a_job_that_nothing_picks_up_is_advised_of_and_then_taken_back(make_watch: MakeWatch) -> None:
    watch = make_watch(spec={"not_started_after_seconds": 300})
    early = answered(watch, read(Verdict.STALE), 299)
    assert early.watch.advisory is None
    late = answered(early.watch, read(Verdict.STALE), 300)
    assert late.watch.advisory is Advisory.NOT_STARTED
    assert late.watch.fact == Fact(FactKind.NOT_PICKED_UP, seconds=300.0)
    assert late.notes == (AdvisoryBegan(Advisory.NOT_STARTED),)
    assert answered(late.watch, read(Verdict.STALE), 315).notes == ()
    picked_up = answered(late.watch, read(sign_of_life="a"), 330)
    assert picked_up.watch.advisory is None
    assert (picked_up.watch.reason, picked_up.watch.fact) == ("", None)
    assert picked_up.durable
    assert picked_up.notes == (AdvisoryEnded(Advisory.NOT_STARTED),)


def test_signs_of_life_that_stand_still_are_advised_of_and_taken_back(make_watch: MakeWatch) -> None:
    watch = make_watch(spec={"stalled_after_seconds": 180})
    alive = answered(watch, read(sign_of_life="a"), 15).watch
    assert alive.lively_at == NOW + 15
    still = answered(alive, read(sign_of_life="a"), 194).watch
    assert (still.advisory, still.lively_at) == (None, NOW + 15)
    stalled = answered(still, read(sign_of_life="a"), 195)
    assert stalled.watch.advisory is Advisory.STALLED
    assert stalled.durable
    again = answered(stalled.watch, read(sign_of_life="b"), 210).watch
    assert (again.advisory, again.lively_at) == (None, NOW + 210)


def test_a_watch_that_never_showed_life_stalls_from_its_start(make_watch: MakeWatch) -> None:
    watch = make_watch(lively_at=None, reading=Reading(Verdict.UNDERWAY, "Running", sign_of_life="a"))
    assert answered(watch, read(sign_of_life="a"), 900).watch.advisory is Advisory.STALLED


def test_one_advisory_gives_way_to_another(make_watch: MakeWatch) -> None:
    silent = failed(make_watch(), TpUnreachableError("No route."), 15).watch
    step = answered(silent, read(Verdict.STALE), 400)
    assert step.watch.advisory is Advisory.NOT_STARTED
    assert (step.watch.reason, step.watch.fact) == ("", Fact(FactKind.NOT_PICKED_UP, seconds=400.0))
    assert step.notes == (AdvisoryEnded(Advisory.UNREACHABLE), AdvisoryBegan(Advisory.NOT_STARTED))


def test_tps_words_are_kept_on_one_line_and_short(make_watch: MakeWatch) -> None:
    step = failed(make_watch(), TpServerFaultError("\x1b[31mred\x07\n" + "x" * 5000), 15)
    assert step.watch.reason.startswith("red x")
    assert len(step.watch.reason) <= state_machine.REASON_KEPT_CHARACTERS
    assert "\n" not in note_text(step.notes[0], step.watch)


def test_a_job_is_lost_after_three_404s_over_two_minutes(make_watch: MakeWatch) -> None:
    gone = TpNotFoundError("No such execution.")
    one = failed(make_watch(), gone, 15)
    two = failed(one.watch, gone, 30)
    three = failed(two.watch, gone, 134)
    assert [step.watch.state for step in (one, two, three)] == [WatchState.ACTIVE] * 3
    assert all(step.durable for step in (one, two, three))
    four = failed(three.watch, gone, 135)
    assert four.watch.state is WatchState.LOST
    entry = inbox_entry(four)
    assert entry is not None
    assert "TP no longer knows this job" in entry.text


def test_two_404s_are_not_enough_however_far_apart(make_watch: MakeWatch) -> None:
    gone = TpNotFoundError("No such execution.")
    two = failed(failed(make_watch(), gone, 15).watch, gone, 1000)
    assert two.watch.state is WatchState.ACTIVE


@pytest.mark.parametrize("between", ["an answer", "silence"])
def test_anything_between_them_begins_the_404s_anew(make_watch: MakeWatch, between: str) -> None:
    gone = TpNotFoundError("No such execution.")
    watch = failed(failed(make_watch(), gone, 15).watch, gone, 100).watch
    step = answered(watch, read(), 120) if between == "an answer" else failed(watch, TpUnreachableError("x"), 120)
    assert (step.watch.missing_polls, step.watch.missing_since) == (0, None)
    assert failed(step.watch, gone, 200).watch.state is WatchState.ACTIVE


def test_a_404_is_an_answer_so_tp_is_no_longer_unreachable(make_watch: MakeWatch) -> None:
    silent = failed(make_watch(), TpUnreachableError("No route."), 15).watch
    missing = failed(silent, TpNotFoundError("gone"), 30).watch
    assert (missing.advisory, missing.reason, missing.silent_since) == (None, "", None)
    stalled = make_watch(advisory=Advisory.STALLED, reason="still")
    assert failed(stalled, TpNotFoundError("gone"), 30).watch.advisory is Advisory.STALLED


def test_an_answer_at_the_limit_still_counts_and_only_then_the_time_is_over(make_watch: MakeWatch) -> None:
    watch = make_watch(spec={"timeout_seconds": 600})
    assert answered(watch, read(Verdict.DONE), 9000).watch.state is WatchState.DONE
    step = answered(watch, read(phase="Running", sign_of_life="a"), 600)
    assert step.watch.state is WatchState.TIMED_OUT
    entry = inbox_entry(step)
    assert entry is not None
    assert "limit of 10 min" in entry.text
    assert "may still be going on" in entry.text


def test_a_number_of_polls_is_a_limit_too(make_watch: MakeWatch) -> None:
    watch = answered(make_watch(spec={"max_polls": 2}), read(), 15).watch
    assert watch.state is WatchState.ACTIVE
    step = answered(watch, read(), 30)
    assert step.watch.state is WatchState.TIMED_OUT
    assert step.watch.fact == Fact(FactKind.LIMIT_REACHED, polls=2)


def test_the_end_by_time_says_what_is_worth_knowing_now_and_not_before(make_watch: MakeWatch) -> None:
    silent = make_watch(advisory=Advisory.UNREACHABLE, reason="No route.", spec={"timeout_seconds": 600})
    step = answered(silent, read(Verdict.STALE), 600)
    assert "Nothing has picked it up" in reason_text(step.watch)
    assert "No route" not in reason_text(step.watch)


def test_a_404_at_the_limit_ends_by_time(make_watch: MakeWatch) -> None:
    step = failed(make_watch(spec={"timeout_seconds": 600}), TpNotFoundError("gone"), 600)
    assert step.watch.state is WatchState.TIMED_OUT


def test_accepting_makes_a_watch_active_from_that_time(make_watch: MakeWatch) -> None:
    watch = make_watch(state=WatchState.STARTING)
    step = state_machine.accept(watch, answer={"exec_id": 446}, now=NOW + 2)
    assert step.durable
    assert step.watch.state is WatchState.ACTIVE
    assert step.watch.since == step.watch.lively_at == NOW + 2
    assert step.watch.answer == {"exec_id": 446}


def test_a_refusal_ends_it_with_its_reason(make_watch: MakeWatch) -> None:
    step = state_machine.refuse(make_watch(state=WatchState.STARTING), reason="The lab is busy.", now=NOW + 2)
    assert step.watch.state is WatchState.FAILED
    entry = inbox_entry(step)
    assert entry is not None
    assert "The lab is busy." in entry.text


def test_a_start_without_an_answer_stays_open(make_watch: MakeWatch) -> None:
    step = state_machine.leave_open(make_watch(state=WatchState.STARTING), TpError("No answer."))
    assert (step.watch.state, step.watch.reason, inbox_entry(step)) == (WatchState.STARTING, "No answer.", None)


def test_reading_that_finds_the_job_makes_the_start_good(make_watch: MakeWatch) -> None:
    watch = make_watch(state=WatchState.STARTING, reason="No answer.")
    found = Settlement(started=True, answer={"id": 7}, spec_args={"job": "7"}, job="job:7", evidence="7 is new.")
    step = state_machine.observe_settlement(watch, found, now=NOW + 30)
    assert step.watch.state is WatchState.ACTIVE
    assert step.watch.spec.args == {"job": "7"}
    assert (step.watch.job, step.watch.answer) == ("job:7", {"id": 7})
    assert (step.watch.since, step.watch.lively_at) == (NOW, NOW + 30)
    assert step.notes == (StartFound("7 is new."),)
    plain = state_machine.observe_settlement(watch, Settlement(started=True), now=NOW + 30).watch
    assert (plain.spec, plain.job) == (watch.spec, watch.job)


def test_reading_that_finds_nothing_waits_and_then_says_that_it_is_not_known(make_watch: MakeWatch) -> None:
    watch = make_watch(state=WatchState.STARTING, spec={"not_started_after_seconds": 300})
    nothing = Settlement(started=False, evidence="nothing new.")
    assert state_machine.observe_settlement(watch, nothing, now=NOW + 299).watch is watch
    step = state_machine.observe_settlement(watch, nothing, now=NOW + 300)
    assert (step.watch.state, step.watch.outcome) == (WatchState.FAILED, Outcome.UNKNOWN)
    entry = inbox_entry(step)
    assert entry is not None
    assert "nothing new. It was sent once and is not sent again by itself." in entry.text


def test_a_start_that_can_be_read_again_is_no_longer_unreachable(make_watch: MakeWatch) -> None:
    silent = failed(make_watch(state=WatchState.STARTING), TpUnreachableError("No route."), 15).watch
    step = state_machine.observe_settlement(silent, Settlement(started=False, evidence="nothing new."), now=NOW + 30)
    assert step.durable
    assert (step.watch.advisory, step.watch.silent_since, step.watch.reason) == (None, None, "nothing new.")


def test_a_start_that_can_never_be_read_ends_by_time_and_says_so(make_watch: MakeWatch) -> None:
    watch = make_watch(state=WatchState.STARTING, silent_since=NOW, spec={"timeout_seconds": 600})
    step = failed(watch, TpUnreachableError("No route."), 600)
    assert step.watch.state is WatchState.TIMED_OUT
    assert "whether TP ever started the job is not known" in reason_text(step.watch)
    assert "No route." in reason_text(step.watch)


def test_a_settlement_changes_only_a_watch_that_is_starting(make_watch: MakeWatch) -> None:
    watch = make_watch()
    assert state_machine.observe_settlement(watch, Settlement(started=True), now=NOW + 30) == Step(watch)


def test_cancelling_ends_the_watch_without_an_entry(make_watch: MakeWatch) -> None:
    step = state_machine.cancel(make_watch(), reason="Asked to.", now=NOW + 30)
    assert (step.watch.state, step.watch.reason, inbox_entry(step)) == (WatchState.CANCELLED, "Asked to.", None)
    assert step.durable


def test_a_clock_that_is_set_back_never_makes_time_go_back(make_watch: MakeWatch) -> None:
    watch = answered(make_watch(), read(sign_of_life="a"), 100).watch
    step = answered(watch, read(Verdict.DONE), -5000)
    assert step.watch.ended_at == NOW + 100
    silent = failed(failed(watch, TpUnreachableError("x"), 200).watch, TpUnreachableError("x"), -5000).watch
    assert silent.silent_since == NOW + 200
    assert state_machine.accept(make_watch(state=WatchState.STARTING), answer=None, now=0.0).watch.started_at == NOW


def test_polls_that_others_want_more_often_do_not_use_up_a_watchs_own(make_watch: MakeWatch) -> None:
    watch = make_watch(spec={"interval_seconds": 15.0, "max_polls": 3})
    for number in range(1, 28):
        watch = answered(watch, read(sign_of_life=str(number)), number).watch
    assert watch.polls == 2, "27 polls in 27 seconds are two in intervals of 15"
    assert answered(watch, read(), 45).watch.state is WatchState.TIMED_OUT


def test_a_missing_read_says_nothing_of_a_start_that_was_never_answered(make_watch: MakeWatch) -> None:
    watch = make_watch(state=WatchState.STARTING, spec={"not_started_after_seconds": 300.0})
    for after in (15, 100, 200):
        watch = failed(watch, TpNotFoundError("no such page"), after).watch
        assert watch.state is WatchState.STARTING
    step = failed(watch, TpNotFoundError("no such page"), 301)
    assert (step.watch.state, step.watch.outcome) == (WatchState.FAILED, Outcome.UNKNOWN)
    assert step.watch.fact == Fact(FactKind.START_UNSETTLED)
    assert "sent once and is not sent again" in reason_text(step.watch)


def test_an_end_that_was_found_by_reading_is_only_probably_its_own(make_watch: MakeWatch) -> None:
    starting = make_watch(state=WatchState.STARTING)
    found = state_machine.observe_settlement(
        starting, Settlement(started=True, evidence="it moved."), now=NOW + 5
    ).watch
    step = answered(found, read(Verdict.DONE, outcome=Outcome.PASSED), 60)
    entry = inbox_entry(step)
    assert entry is not None
    assert "is probably done" in entry.text
    assert "found by reading" in entry.text


@pytest.mark.parametrize("module", [state_machine, chain_steps, answer_retention])
def test_the_state_machine_and_what_it_uses_know_no_words(module: ModuleType) -> None:
    source = Path(str(module.__file__)).read_text(encoding="utf-8")
    assert "tp_mcp.watch.delivery" not in source
    assert "tp_mcp.watch.model" in source or module is answer_retention
