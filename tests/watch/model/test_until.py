"""What a wait is for."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tp_mcp.watch.delivery.waiting import Until, fingerprint_of, met
from tp_mcp.watch.model.reading import Counts, Reading, Verdict
from tp_mcp.watch.model.watch import Advisory, Watch, WatchState

RUNNING = Reading(Verdict.UNDERWAY, "Running", counts=Counts(passed=1), sign_of_life="one")


@pytest.mark.parametrize("until", list(Until))
def test_an_end_is_what_every_wait_is_for(make_watch: Callable[..., Watch], until: Until) -> None:
    watch = make_watch(reading=RUNNING)
    assert not met(until, fingerprint_of(watch), watch)
    assert met(until, fingerprint_of(watch), replace(watch, state=WatchState.CANCELLED))


def test_a_failure_counts_also_where_it_was_there_before_the_wait(make_watch: Callable[..., Watch]) -> None:
    watch = make_watch(reading=None)
    broken = replace(watch, reading=replace(RUNNING, broken=True))
    assert not met(Until.FIRST_FAILURE, fingerprint_of(watch), watch)
    assert met(Until.FIRST_FAILURE, fingerprint_of(broken), broken)
    assert not met(Until.TERMINAL, fingerprint_of(broken), broken)


def test_a_change_is_one_that_a_reader_would_notice(make_watch: Callable[..., Watch]) -> None:
    watch = make_watch(reading=RUNNING)
    assert not met(
        Until.CHANGE, fingerprint_of(watch), replace(watch, polls=9, reading=replace(RUNNING, sign_of_life="two"))
    )
    changed = [
        replace(watch, advisory=Advisory.STALLED),
        replace(watch, missing_polls=1),
        replace(watch, reading=replace(RUNNING, counts=Counts(passed=2))),
        replace(watch, reading=replace(RUNNING, phase="Collecting")),
        replace(watch, reading=None),
    ]
    assert all(met(Until.CHANGE, fingerprint_of(watch), each) for each in changed)
