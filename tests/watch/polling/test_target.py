"""Targets, and the queue of those that are due."""

from hypothesis import given
from hypothesis import strategies as st

from tp_mcp.watch.polling.target import DueQueue, Target, key_of


def target(name: str) -> Target:
    return Target(key=key_of("get", {"job": name}), args={"job": name}, due=0.0, watch_ids={"w_1"})


def test_equal_calls_are_one_target_whatever_the_order_of_their_arguments() -> None:
    assert key_of("get", {"a": 1, "b": [2]}) == key_of("get", {"b": [2], "a": 1})
    assert key_of("get", {"a": 1}) != key_of("get", {"a": "1"})
    assert key_of("get", {"a": 1}) != key_of("look", {"a": 1})


def test_the_most_overdue_comes_first() -> None:
    queue, late, later, future = DueQueue(), target("late"), target("later"), target("future")
    queue.put(late, 5.0)
    queue.put(future, 11.0)
    queue.put(later, 3.0)
    assert queue.next_due() == 3.0
    assert queue.pop_due(10.0) == [later, late]
    assert queue.next_due() == 11.0
    assert queue.pop_due(10.0) == []


def test_only_the_last_place_of_a_target_counts_also_for_the_same_time() -> None:
    queue, moved = DueQueue(), target("moved")
    for due in (5.0, 3.0, 7.0, 7.0):
        queue.put(moved, due)
    assert queue.pop_due(6.0) == []
    assert queue.next_due() == 7.0
    assert queue.pop_due(7.0) == [moved]
    assert queue.pop_due(100.0) == []
    assert queue.next_due() is None


def test_a_target_that_nobody_wants_or_that_is_being_polled_is_passed_over() -> None:
    queue, unwanted, polled = DueQueue(), target("unwanted"), target("polled")
    queue.put(unwanted, 1.0)
    queue.put(polled, 2.0)
    unwanted.watch_ids.clear()
    polled.polling = True
    assert queue.next_due() is None
    assert queue.pop_due(10.0) == []


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 50)), max_size=60), st.integers(0, 50))
def test_each_target_comes_once_at_its_last_time(puts: list[tuple[int, int]], now: int) -> None:
    queue, targets = DueQueue(), [target(str(number)) for number in range(5)]
    last: dict[int, int] = {}
    for which, due in puts:
        queue.put(targets[which], float(due))
        last[which] = due
    popped = queue.pop_due(float(now))
    assert sorted(id(each) for each in popped) == sorted(id(targets[each]) for each, due in last.items() if due <= now)
    assert [each.due for each in popped] == sorted(each.due for each in popped)
    waiting = [due for due in last.values() if due > now]
    assert queue.next_due() == (min(waiting) if waiting else None)
