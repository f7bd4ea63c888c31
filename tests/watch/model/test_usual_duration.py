"""What is usual, from a few durations; and which ends tell a duration."""

from collections.abc import Callable
from typing import Any

import pytest

from tp_mcp.watch.lifecycle import state_machine
from tp_mcp.watch.lifecycle.state_machine import timed
from tp_mcp.watch.model.reading import Interpretation, Outcome, Reading, Verdict
from tp_mcp.watch.model.usual_duration import Usual, left_words, usual_of, usual_words
from tp_mcp.watch.model.watch import Watch

NOW = 1_780_000_000.0
MakeWatch = Callable[..., Watch]


@pytest.mark.parametrize(
    ("seconds", "usual"),
    [
        ([], None),
        ([1, 2], None),
        ([3, 1, 2], Usual(2, 3)),
        ([4, 1, 3, 2], Usual(2.5, 4)),
        (range(10, 0, -1), Usual(5.5, 9)),
        (range(1, 101), Usual(50.5, 90)),
    ],
)
def test_what_is_usual_is_told_from_three_durations_on(seconds: Any, usual: Usual | None) -> None:
    assert usual_of(list(seconds)) == usual


def test_it_is_said_in_one_sentence() -> None:
    assert usual_words(Usual(240, 360)) == "Usually 4 min, 9 of 10 within 6 min."


@pytest.mark.parametrize(
    ("elapsed", "said"),
    [
        (0, "about 4 min left"),
        (91, "about 2 min 30 s left"),
        (185, "about 55 s left"),
        (239.9, "about 5 s left"),
        (240, "longer than the usual 4 min"),
        (360, "longer than the usual 4 min"),
        (361, "longer than 9 of 10 before it"),
    ],
)
def test_what_is_left_is_said_as_coarsely_as_it_is_known(elapsed: float, said: str) -> None:
    assert left_words(Usual(240, 360), elapsed) == said


def ended(watch: Watch, at: float, **fields: Any) -> float | None:
    reading = Reading(Verdict.DONE, "Done", **{"outcome": Outcome.PASSED, **fields})
    step = state_machine.observe_answer(watch, Interpretation(reading, None), {}, now=at)
    assert step.watch.reading is not None
    return step.watch.reading.took_seconds


@pytest.mark.parametrize(
    ("polled_at", "at", "took"),
    [
        (None, 30.0, 30.0),
        (None, 30.1, None),
        (200.0, 215.0, 215.0),
        (200.0, 230.0, 230.0),
        (200.0, 230.1, None),
        (200.0, 7200.0, None),
    ],
)
def test_an_end_counts_where_the_look_before_it_was_within_two_intervals(
    make_watch: MakeWatch, polled_at: float | None, at: float, took: float | None
) -> None:
    watch = make_watch(spec={"history": ("g",)}, polled_at=polled_at and NOW + polled_at)
    assert ended(watch, NOW + at) == pytest.approx(took)


@pytest.mark.parametrize("outcome", [Outcome.PASSED, Outcome.FAILED, None])
def test_tps_own_timestamps_count_whenever_it_was_seen(make_watch: MakeWatch, outcome: Outcome | None) -> None:
    watch = make_watch(spec={"history": ("g",)}, polled_at=NOW + 15)
    assert ended(watch, NOW + 9000, outcome=outcome, took_seconds=321.0) == 321.0


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({}, {}),
        ({"history": ("g",)}, {"probable": True}),
        ({"history": ("g",)}, {"outcome": Outcome.LISTING}),
        ({"history": ("g",)}, {"outcome": Outcome.NO_TEST_RAN}),
        ({"history": ("g",)}, {"outcome": Outcome.UNKNOWN}),
    ],
)
def test_an_end_that_says_nothing_of_others_does_not_count(
    make_watch: MakeWatch, spec: dict[str, Any], fields: dict[str, Any]
) -> None:
    assert ended(make_watch(spec=spec), NOW + 10, took_seconds=10.0, **fields) is None


def test_a_watch_without_a_reading_tells_nothing(make_watch: MakeWatch) -> None:
    watch = make_watch()
    assert timed(watch, watch, NOW) is watch


def test_only_a_good_end_counts(make_watch: MakeWatch) -> None:
    watch = make_watch(spec={"history": ("g",)})
    reading = Reading(Verdict.FAILED, "FAILURE")
    step = state_machine.observe_answer(watch, Interpretation(reading, None), {}, now=NOW + 10)
    assert step.watch.reading == reading
