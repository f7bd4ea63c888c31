"""Which process polls a target: the decisions."""

from typing import Any

import pytest

from tp_mcp.watch.model.lease import Claim, Lease, claim, may_poll, next_beat

NOW = 1_000.0
RULES: Any = {"process": "me", "at": NOW, "lifetime": 10.0}


def lease(target: str, owner: str, beat_at: float | None = NOW - 1) -> Lease:
    return Lease(target, 1, owner, beat_at)


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        ([], ("a",)),
        ([lease("a", "me")], ()),
        ([lease("a", "other")], ()),
        ([lease("a", "other", NOW - 9.9)], ()),
        ([lease("a", "other", NOW - 10)], ("a",)),
        ([lease("a", "other", None)], ("a",)),
        ([lease("a", "other", NOW + 3600)], ("a",)),
        ([lease("b", "other")], ("a",)),
    ],
)
def test_a_target_is_taken_where_nobody_alive_has_it(there: list[Lease], taken: tuple[str, ...]) -> None:
    assert claim(there, ["a"], **RULES) == Claim(take=taken, drop=())


def test_a_target_of_ones_own_that_is_wanted_no_longer_is_dropped() -> None:
    assert claim([lease("a", "me"), lease("b", "other")], [], **RULES) == Claim(take=(), drop=("a",))


def test_without_a_written_heartbeat_only_what_others_surely_poll_is_left_to_them() -> None:
    there = [lease("mine", "me"), lease("theirs", "other"), lease("dead", "gone", None)]
    assert may_poll(there, ["mine", "theirs", "dead", "free"], **RULES) == {"mine", "dead", "free"}


def test_the_next_heartbeat_comes_when_somebody_elses_lease_runs_out() -> None:
    rules: Any = {**RULES, "heartbeat": 5.0}
    assert next_beat([lease("a", "me", NOW)], **rules) == NOW + 5
    assert next_beat([lease("a", "other", NOW - 8)], **rules) == NOW + 2
    assert next_beat([lease("a", "other", NOW - 20), lease("b", "gone", None)], **rules) == NOW + 5
