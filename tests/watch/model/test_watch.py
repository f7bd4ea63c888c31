"""States, ids and times of a watch."""

import re
from collections.abc import Callable
from dataclasses import replace

from tp_mcp.watch.model.reading import Counts, sign_of
from tp_mcp.watch.model.watch import Watch, WatchState, new_watch_id

NOW = 1_780_000_000.0


def test_two_states_go_on_and_five_are_ends() -> None:
    assert {state for state in WatchState if not state.ended} == {WatchState.STARTING, WatchState.ACTIVE}


def test_ids_are_short_and_do_not_repeat() -> None:
    ids = {new_watch_id() for _ in range(2000)}
    assert len(ids) == 2000
    assert all(re.fullmatch(r"w_[0-9a-z]{8}", watch_id) for watch_id in ids)


def test_time_runs_from_the_start_and_stands_still_at_the_end(make_watch: Callable[..., Watch]) -> None:
    watch = make_watch(state=WatchState.STARTING)
    assert (watch.since, watch.elapsed(NOW + 5)) == (NOW, 5.0)
    active = replace(watch, started_at=NOW + 3)
    assert active.elapsed(NOW + 5) == 2.0
    assert active.elapsed(NOW) == 0.0
    assert replace(active, ended_at=NOW + 9).elapsed(NOW + 500) == 6.0


def test_what_is_not_told_counts_as_none() -> None:
    assert (Counts().finished, Counts().broken) == (0, 0)
    assert (Counts(1, 2, 3, 4).finished, Counts(1, 2, 3, 4).broken) == (10, 6)


def test_a_sign_is_the_same_in_every_process() -> None:
    assert sign_of("10.0.0.1=2026") == sign_of("10.0.0.1=2026") != sign_of("10.0.0.1=2027")
    assert sign_of("\ud800") == "4208783e927d0d68"
