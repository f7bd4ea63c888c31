"""How long jobs took: kept with the end, by group and TP, within limits, for everybody."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tp_mcp.storage import watches
from tp_mcp.storage.watches import WatchStore
from tp_mcp.watch.delivery.messages import inbox_entry
from tp_mcp.watch.lifecycle import state_machine
from tp_mcp.watch.model.reading import Interpretation, Reading, Verdict
from tp_mcp.watch.model.usual_duration import Usual
from tp_mcp.watch.model.watch import Owner, Watch
from tp_mcp.watch.store import Store

NOW = 1_780_000_000.0
DAY = 24 * 3600.0
MakeWatch = Callable[..., Watch]


async def end(store: Store, watch: Watch, took: float | None, *, verdict: Verdict = Verdict.DONE) -> Watch | None:
    await store.add(watch)
    reading = Reading(verdict, "Done", took_seconds=took)
    step = state_machine.observe_answer(watch, Interpretation(reading, None), {}, now=NOW + 9000)
    return await store.save(step.watch, inbox_entry(step))


async def end_each(store: Store, make_watch: MakeWatch, *seconds: float, group: str = "g") -> None:
    for took in seconds:
        await end(store, make_watch(spec={"history": (group,)}), took)


async def test_three_ends_tell_what_is_usual_whoevers_they_were(store: Store, make_watch: MakeWatch) -> None:
    server = make_watch().server
    await end_each(store, make_watch, 10, 30)
    assert await store.usual(server, ("g",)) is None
    bob = Owner("local:bob", "thread:9", exact=True)
    await end(store, make_watch(owner=bob, spec={"history": ("g",)}), 20)
    assert await store.usual(server, ("g",)) == Usual(20, 30)
    assert await store.usual(server, ("other",)) is None
    assert await store.usual("http://other.example", ("g",)) is None
    assert await store.usual(server, ()) is None


async def test_the_closest_group_with_enough_ends_tells(store: Store, make_watch: MakeWatch) -> None:
    server = make_watch().server
    await end_each(store, make_watch, 1, 2, group="close")
    await end_each(store, make_watch, 10, 20, 30, group="wide")
    assert await store.usual(server, ("close", "wide")) == Usual(20, 30)
    await end_each(store, make_watch, 3, group="close")
    assert await store.usual(server, ("close", "wide")) == Usual(2, 3)


async def test_what_says_no_duration_is_not_kept(store: Store, make_watch: MakeWatch) -> None:
    server = make_watch().server
    await end_each(store, make_watch, 10, 20)
    late = make_watch(spec={"history": ("g",)})
    await end(store, late, None)
    await end(store, make_watch(spec={"history": ("g",)}), None, verdict=Verdict.FAILED)
    cancelled = make_watch(spec={"history": ("g",)})
    await store.add(cancelled)
    await store.save(state_machine.cancel(cancelled, reason="no", now=NOW).watch)
    stale = make_watch(spec={"history": ("g",)})
    await store.add(stale)
    await store.save(stale)
    assert await end_again(store, stale) is None
    gone = state_machine.refuse(make_watch(reading=None), reason="busy", now=NOW)
    await store.add(replace(gone.watch, state=late.state, ended_at=None))
    await store.save(gone.watch, inbox_entry(gone))
    assert await store.usual(server, ("g",)) is None


async def end_again(store: Store, watch: Watch) -> Watch | None:
    """Write the end of a watch that somebody else has written meanwhile."""
    step = state_machine.observe_answer(
        watch, Interpretation(Reading(Verdict.DONE, "Done", took_seconds=5.0), None), {}, now=NOW
    )
    return await store.save(step.watch, inbox_entry(step))


async def test_the_history_outlives_the_watches(store: Store, make_watch: MakeWatch) -> None:
    await end_each(store, make_watch, 10, 20, 30)
    assert await store.purge(ended_before=NOW + 99 * DAY, unseen_before=NOW + 99 * DAY) == 3
    assert await store.usual(make_watch().server, ("g",)) == Usual(20, 30)


async def test_of_a_group_and_of_all_only_the_newest_are_kept(
    store: WatchStore, make_watch: MakeWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_watch().server
    monkeypatch.setattr(watches, "MAX_DURATIONS_OF_GROUP", 4)
    await end_each(store, make_watch, 1000, 1000, 1, 2, 3, 4)
    assert await store.usual(server, ("g",)) == Usual(2.5, 4)
    monkeypatch.setattr(watches, "MAX_DURATIONS", 3)
    await end_each(store, make_watch, 7, group="h")
    assert await store.usual(server, ("g",)) is None
    await end_each(store, make_watch, 8, 9, group="h")
    assert await store.usual(server, ("h",)) == Usual(8, 9)


async def test_what_was_usual_comes_back_with_the_watch(store: Store, make_watch: MakeWatch) -> None:
    watch = make_watch(usual=Usual(1.5, 2.5), spec={"history": ("a", "b")}, idempotency_key="k")
    await store.add(watch)
    assert await store.get(watch.id) == watch
