"""The table of watches: which targets they share, and when each is due."""

import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from pydantic import JsonValue

from tests.support.clock import NOW
from tp_mcp.watch.model.watch import Watch, WatchState
from tp_mcp.watch.polling.watch_table import RESUME_SPREAD_SECONDS, WatchTable

MakeWatch = Callable[..., Watch]


def request_of(watch: Watch) -> tuple[str, Mapping[str, JsonValue]]:
    return ("list", {}) if watch.state is WatchState.STARTING else ("get", watch.spec.args)


def table_of(*watches: Watch, **options: Any) -> WatchTable:
    fields: dict[str, Any] = {
        "request_of": request_of,
        "identity_of": None,
        "is_leased": lambda _: True,
        "rng": random.Random(1),
        "interval_factor": 1.0,
    }
    table = WatchTable(**(fields | options))
    for watch in watches:
        table.add(watch, NOW)
    return table


def test_watches_of_one_job_share_a_target_until_the_last_is_removed(make_watch: MakeWatch) -> None:
    one, two, other = make_watch("1"), make_watch("1"), make_watch("2")
    table = table_of(one, two, other)
    assert table.target_of(one.id) is table.target_of(two.id) is not table.target_of(other.id)
    table.remove(one.id)
    assert len(table.targets) == 2
    table.remove(two.id)
    assert [target.watch_ids for target in table.targets] == [{other.id}]
    assert set(table.watches) == {other.id}


def test_a_login_of_ones_own_is_a_target_of_ones_own(make_watch: MakeWatch) -> None:
    one, two = make_watch("1"), make_watch("1", id="w_00000002")
    table = table_of(one, identity_of=lambda _tool, principal: principal)
    assert table.target_of(one.id) is not None
    assert [target.key.identity for target in table.targets] == [one.owner.principal]
    table.add(two, NOW)
    assert len(table.targets) == 1


def test_a_watch_whose_start_is_settled_moves_to_the_target_of_its_job(make_watch: MakeWatch) -> None:
    starting = make_watch("1", state=WatchState.STARTING)
    table = table_of(starting)
    table.add(make_watch("1", id=starting.id), NOW)
    assert [target.key.tool for target in table.targets] == ["get"]


def test_a_target_that_is_being_polled_stays_until_the_poll_is_over(make_watch: MakeWatch) -> None:
    watch = make_watch("1")
    table = table_of(watch)
    [target] = table.targets
    target.polling = True
    table.remove(watch.id)
    assert list(table.targets) == [target]
    target.polling = False
    assert table.drop_unused(target)
    assert not table.targets


def test_the_shortest_interval_counts_times_the_factor(make_watch: MakeWatch) -> None:
    slow = make_watch("1", spec={"interval_seconds": 60.0})
    quick = make_watch("1", spec={"interval_seconds": 10.0})
    table = table_of(slow, quick, interval_factor=0.5)
    [target] = table.targets
    assert table.interval(target) == 5.0
    assert table.polled_intervals() == [5.0]


@pytest.mark.parametrize(("resumed", "earliest", "latest"), [(True, 0.0, RESUME_SPREAD_SECONDS), (False, 7.5, 15.0)])
def test_a_watch_that_was_found_is_due_soon_and_a_new_one_within_its_interval(
    make_watch: MakeWatch, resumed: bool, earliest: float, latest: float
) -> None:
    for seed in range(50):
        table = table_of(rng=random.Random(seed))
        table.add(make_watch("1"), NOW, resumed=resumed)
        due = table.queue.next_due()
        assert due is not None
        assert NOW + earliest <= due <= NOW + latest


def test_joining_a_target_that_is_due_in_time_does_not_move_its_poll(make_watch: MakeWatch) -> None:
    table = table_of(make_watch("1"))
    due = table.queue.next_due()
    table.add(make_watch("1"), NOW, resumed=True)
    assert table.queue.next_due() == due
    table.add(make_watch("1", spec={"interval_seconds": 5.0}), NOW)
    assert table.queue.next_due() != due


def test_a_target_without_a_lease_is_not_due_and_asks_for_one(make_watch: MakeWatch) -> None:
    table = table_of(make_watch("1"), is_leased=lambda _: False)
    assert table.needs_lease
    assert table.queue.next_due() is None
    [target] = table.targets
    target.leased = True
    table.schedule_gained([target], NOW + 3600)
    assert NOW + 3600 <= (table.queue.next_due() or 0.0) <= NOW + 3600 + RESUME_SPREAD_SECONDS


def test_after_an_outage_failures_are_forgotten_and_polls_spread_over_the_interval(make_watch: MakeWatch) -> None:
    table = table_of(*(make_watch(str(job)) for job in range(20)))
    for target in table.targets:
        target.failures = 3
    table.reschedule_all(NOW + 100)
    dues = sorted(target.due for target in table.targets)
    assert {target.failures for target in table.targets} == {0}
    assert NOW + 100 <= dues[0] < NOW + 104
    assert NOW + 111 < dues[-1] <= NOW + 115
