"""What any store has to keep: run for each kind that `open_store` can open."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from tp_mcp.errors import StoreError, WatchLimitError
from tp_mcp.storage import watches as sqlite_store
from tp_mcp.watch.delivery.messages import inbox_entry
from tp_mcp.watch.lifecycle import state_machine
from tp_mcp.watch.model.chain import Chain, Link
from tp_mcp.watch.model.fact import Fact, FactKind
from tp_mcp.watch.model.reading import Counts, Interpretation, Outcome, Reading, Verdict
from tp_mcp.watch.model.watch import Advisory, InboxEntry, Origin, Owner, Step, Watch, WatchState
from tp_mcp.watch.store import Store

NOW = 1_780_000_000.0
DAY = 24 * 3600.0
MakeWatch = Callable[..., Watch]
OpenStore = Callable[[], Awaitable[Store]]


def done(watch: Watch, at: float = NOW + 60) -> Step:
    interpretation = Interpretation(Reading(Verdict.DONE, "Done", outcome=Outcome.PASSED), memory=None)
    return state_machine.observe_answer(watch, interpretation, {"status": "Done"}, now=at)


async def end(store: Store, watch: Watch, at: float = NOW + 60) -> InboxEntry:
    await store.add(watch)
    step = done(watch, at)
    entry = inbox_entry(step)
    assert entry is not None
    assert await store.save(step.watch, entry) is not None
    return entry


def full(make_watch: MakeWatch) -> Watch:
    """Return a watch of which every field has a value."""
    watch = make_watch(
        advisory=Advisory.STALLED,
        outcome=Outcome.FAILED,
        reason="It stands still: ä \U0001f600 '; DROP TABLE watches; --",
        baseline={"updated_at": {"10.0.0.1": None}},
        memory=["10.0.0.1", 2, None, True, 0.5, {"a": []}],
        answer={"exec_id": 446, "n": 10**17},
        last_answer=[1, "two", {"three": 3.5}],
        reading=Reading(
            Verdict.UNDERWAY, "Running", Outcome.UNKNOWN, True, "sign", Counts(1, 2, 3, None, 9), "detail", "http://r"
        ),
        polled_at=NOW + 5.25,
        missing_since=NOW + 4,
        missing_polls=2,
        silent_since=NOW + 3,
        counted_at=NOW + 2,
        settled=True,
        polls=7,
        fact=Fact(FactKind.LIMIT_REACHED, seconds=1.5, polls=2, advisory=Fact(FactKind.NO_SIGN_OF_LIFE, seconds=9.0)),
    )
    spec = replace(watch.spec, max_polls=9, on_done="a", on_fail="b", progress="c", not_started_after_seconds=1.5)
    return replace(watch, spec=spec, origin=Origin("run", {"lab": "AT16", "testcase": ["a", {"b": None}]}))


async def test_a_watch_comes_back_as_it_was_written(open_store: OpenStore, make_watch: MakeWatch) -> None:
    watch = full(make_watch)
    plain = make_watch(state=WatchState.STARTING)
    store = await open_store()
    for each in (watch, plain):
        await store.add(each)
        assert await store.get(each.id) == each
        assert await (await open_store()).get(each.id) == each
    assert await store.get("w_00000000") is None


async def test_matches_come_back_too(store: Store, make_watch: MakeWatch, match_spec: Callable[..., object]) -> None:
    spec = match_spec(done_match={"path": "a.0", "equals": "Done"}, fail_match={"path": "b", "in": ["x", 1, True, 0.5]})
    watch = replace(make_watch(), spec=spec)  # type: ignore[arg-type] # the fixture's own type is a callable of any
    await store.add(watch)
    assert await store.get(watch.id) == watch


async def test_an_id_is_taken_once(store: Store, make_watch: MakeWatch) -> None:
    watch = make_watch()
    await store.add(watch)
    with pytest.raises(StoreError):
        await store.add(replace(watch, title="another"))
    assert await store.get(watch.id) == watch


async def test_each_write_counts_the_revision_and_an_outdated_one_writes_nothing(
    store: Store, make_watch: MakeWatch
) -> None:
    watch = make_watch()
    await store.add(watch)
    first = await store.save(replace(watch, polls=1))
    assert first is not None
    assert (first.revision, first.polls) == (1, 1)
    step = done(watch)
    assert await store.save(step.watch, inbox_entry(step)) is None
    assert await store.get(watch.id) == first
    assert await store.unseen(watch.owner) == ()
    assert await store.save(make_watch()) is None


async def test_an_end_and_its_entry_are_written_together_or_not_at_all(store: Store, make_watch: MakeWatch) -> None:
    watch, other = make_watch(), make_watch()
    await end(store, watch)
    await store.add(other)
    step = done(other)
    entry = inbox_entry(step)
    assert entry is not None
    with pytest.raises(StoreError):
        await store.save(step.watch, replace(entry, watch_id=watch.id))
    assert await store.get(other.id) == other
    assert [entry.watch_id for entry in await store.unseen(watch.owner)] == [watch.id]


async def test_a_batch_writes_what_is_up_to_date_and_tells_what_is_not(store: Store, make_watch: MakeWatch) -> None:
    watches = [make_watch(str(number)) for number in range(3)]
    for watch in watches:
        await store.add(watch)
    await store.save(watches[1])
    saved = await store.save_all([replace(watch, polls=5) for watch in watches])
    assert [None if watch is None else watch.polls for watch in saved] == [5, None, 5]
    assert [(await store.get(watch.id) or watch).polls for watch in watches] == [5, 0, 5]
    assert await store.save_all([]) == ()


async def test_only_what_has_not_ended_on_that_server_is_taken_up_oldest_first(
    store: Store, make_watch: MakeWatch
) -> None:
    young, old = make_watch(created_at=NOW + 2), make_watch(created_at=NOW + 1, state=WatchState.STARTING)
    for watch in (young, old, make_watch(server="http://other.example")):
        await store.add(watch)
    await end(store, make_watch())
    assert [watch.id for watch in await store.unended(young.server)] == [old.id, young.id]


async def test_only_jobs_that_tp_accepted_for_others_since_then_count_as_started(
    store: Store, make_watch: MakeWatch
) -> None:
    mine = make_watch("1", answer={"exec_id": 1})
    for watch in (
        mine,
        make_watch("2", answer={"exec_id": 2}),
        make_watch("3"),
        make_watch("4", answer={"exec_id": 4}, started_at=NOW - 100),
        make_watch("5", answer={"exec_id": 5}, server="http://another"),
    ):
        await store.add(watch)
    assert await store.jobs_started(mine.server, since=NOW - 10, but_for=mine.id) == {"job:2"}


async def test_lists_are_by_principal_conversation_and_state_newest_first(
    store: Store, make_watch: MakeWatch, alice: Owner
) -> None:
    elsewhere = Owner(alice.principal, "thread:2", exact=True)
    one, two, three = (make_watch(created_at=NOW + number) for number in range(3))
    three = replace(three, owner=elsewhere)
    for watch in (one, two, three, make_watch(owner=Owner("local:bob", alice.conversation, exact=True))):
        await store.add(watch)
    await end(store, four := make_watch(created_at=NOW + 3))

    async def listed(conversation: str | None, states: tuple[WatchState, ...], limit: int = 10) -> list[str]:
        found = await store.of_owner(alice.principal, conversation=conversation, states=states, limit=limit)
        return [watch.id for watch in found]

    every = tuple(WatchState)
    assert await listed(alice.conversation, every) == [four.id, two.id, one.id]
    assert await listed(None, every) == [four.id, three.id, two.id, one.id]
    assert await listed(None, every, limit=2) == [four.id, three.id]
    assert await listed(None, (WatchState.DONE,)) == [four.id]
    assert await listed(None, ()) == []
    assert await listed("thread:3", every) == []


async def test_a_list_can_be_about_a_job_a_testbed_or_a_step_of_a_chain(
    store: Store, make_watch: MakeWatch, alice: Owner
) -> None:
    link = Link("w_00000009", "run", {"lab": "AT30"})
    job, one, other, chained = (
        make_watch("446"),
        make_watch("2", testbed="AT21"),
        make_watch("3", testbed="AT21"),
        make_watch("4", chain=Chain(on_done=link)),
    )
    for watch in (job, one, other, chained, make_watch("5", owner=Owner("local:bob", "thread:1", exact=True))):
        await store.add(watch)

    async def about(what: str) -> set[str]:
        found = await store.of_owner(alice.principal, conversation=None, states=tuple(WatchState), limit=10, about=what)
        return {watch.id for watch in found}

    assert await about("job:446") == {job.id}
    assert await about("AT21") == {one.id, other.id}
    assert await about(link.id) == {chained.id}
    assert await about("AT2") == await about("w_0000000") == await about("%") == set()


async def test_an_entry_is_unseen_until_it_is_marked_by_its_conversation_alone(
    store: Store, make_watch: MakeWatch, alice: Owner
) -> None:
    late, early = await end(store, make_watch(), NOW + 60), await end(store, make_watch(), NOW + 50)
    assert await store.unseen(alice) == (early, late)
    assert await store.unseen(Owner(alice.principal, "thread:2", exact=True)) == ()
    assert await store.unseen(Owner("local:bob", alice.conversation, exact=True)) == ()
    await store.count_showings([late.watch_id, late.watch_id, "w_00000000"])
    assert await store.unseen(alice) == (early, replace(late, showings=2))
    await store.mark_seen([early.watch_id, "w_00000000"], NOW + 70)
    assert await store.unseen(alice) == (replace(late, showings=2),)


async def test_a_shared_key_comes_back_as_shared(store: Store, make_watch: MakeWatch) -> None:
    shared = Owner("local:alice", "project:/home/alice", exact=False)
    entry = await end(store, make_watch(owner=shared))
    assert (await store.unseen(shared))[0] == entry
    assert not entry.owner.exact


async def test_a_purge_never_drops_an_unseen_end_before_its_time(store: Store, make_watch: MakeWatch) -> None:
    unseen, seen, cancelled, active = (make_watch(str(number)) for number in range(4))
    await end(store, unseen)
    await end(store, seen)
    await store.mark_seen([seen.id], NOW + 61)
    await store.add(cancelled)
    await store.save(state_machine.cancel(cancelled, reason="no", now=NOW + 60).watch)
    await store.add(active)

    async def purge(now: float) -> int:
        return await store.purge(ended_before=now - 14 * DAY, unseen_before=now - 30 * DAY)

    assert await purge(NOW + 14 * DAY) == 0
    assert await purge(NOW + 15 * DAY) == 2
    assert await store.get(seen.id) is None
    assert await store.get(cancelled.id) is None
    assert await purge(NOW + 30 * DAY + 59) == 0
    assert [entry.watch_id for entry in await store.unseen(unseen.owner)] == [unseen.id]
    assert await purge(NOW + 31 * DAY) == 1
    assert await store.unseen(unseen.owner) == ()
    assert await store.get(active.id) == active


async def test_a_seen_end_stays_for_a_while(store: Store, make_watch: MakeWatch) -> None:
    watch = make_watch()
    await end(store, watch)
    await store.mark_seen([watch.id], NOW + 61)
    await store.purge(ended_before=NOW, unseen_before=NOW)
    assert await store.get(watch.id) is not None


async def test_a_principal_with_too_many_watches_is_refused_new_ones_alone(
    store: Store, make_watch: MakeWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_store, "MAX_UNENDED_WATCHES", 2)
    watches = [make_watch(str(number)) for number in range(2)]
    for watch in watches:
        await store.add(watch)
    refused = make_watch()
    with pytest.raises(WatchLimitError, match="2 watches under way already, and 2 is the limit"):
        await store.add(refused)
    assert await store.get(refused.id) is None
    await store.add(make_watch(owner=Owner("local:bob", "thread:1", exact=True)))
    await store.save(state_machine.cancel(watches[0], reason="no", now=NOW + 1).watch)
    await store.add(refused)


async def test_a_principal_with_too_many_unseen_ends_is_refused_and_loses_none(
    store: Store, make_watch: MakeWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_store, "MAX_UNSEEN_ENDS", 2)
    entries = [await end(store, make_watch(str(number))) for number in range(2)]
    with pytest.raises(WatchLimitError, match="2 finished watches that nobody has looked at"):
        await store.add(make_watch())
    assert len(await store.unseen(entries[0].owner)) == 2
    await store.mark_seen([entries[0].watch_id], NOW + 61)
    await store.add(make_watch())


async def test_two_processes_writing_one_watch_make_one_end(open_store: OpenStore, make_watch: MakeWatch) -> None:
    one, two = await open_store(), await open_store()
    watches = [make_watch(str(number)) for number in range(10)]
    for watch in watches:
        await one.add(watch)
    steps = [done(watch) for watch in watches]
    written = await asyncio.gather(
        *(store.save(step.watch, inbox_entry(step)) for step in steps for store in (one, two))
    )
    assert sum(saved is not None for saved in written) == len(watches)
    assert len(await two.unseen(watches[0].owner)) == len(watches)


async def test_a_closed_store_says_so_and_can_be_closed_again(open_store: OpenStore, make_watch: MakeWatch) -> None:
    store = await open_store()
    await store.close()
    with pytest.raises(StoreError, match="The store is closed"):
        await store.get("w_00000000")
    with pytest.raises(StoreError, match="The store is closed"):
        await store.add(make_watch())
    await store.close()


async def test_a_write_is_finished_although_its_caller_was_cancelled(
    open_store: OpenStore, make_watch: MakeWatch
) -> None:
    store, watch = await open_store(), make_watch()
    writing = asyncio.create_task(store.add(watch))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert await store.get(watch.id) == watch


# Leases ---------------------------------------------------------------------------------------------------------------

TP = "http://tp.example:8000"


async def test_the_first_process_takes_a_target_and_the_second_one_does_not(open_store: OpenStore) -> None:
    one, two = await open_store(), await open_store()
    (mine,) = await one.beat("one", TP, ["a"], at=NOW, lifetime=10.0)
    assert (mine.target, mine.owner, mine.beat_at) == ("a", "one", NOW)
    assert [(each.target, each.owner) for each in await two.beat("two", TP, ["a", "b"], at=NOW + 1, lifetime=10.0)] == [
        ("a", "one"),
        ("b", "two"),
    ]
    assert await two.leases(TP) == await one.leases(TP)
    assert await two.beat("two", "http://other:8000", ["a"], at=NOW + 1, lifetime=10.0) != ()
    assert len(await two.leases(TP)) == 2, "the same call to another TP is another target"


async def test_a_target_changes_hands_under_a_new_epoch_that_was_never_used(open_store: OpenStore) -> None:
    one, two = await open_store(), await open_store()
    epochs = []
    for process, store, at in (("one", one, NOW), ("two", two, NOW + 10), ("one", one, NOW + 20)):
        (held,) = await store.beat(process, TP, ["a"], at=at, lifetime=10.0)
        assert held.owner == process
        epochs.append(held.epoch)
    await one.release("one")
    assert await one.leases(TP) == ()
    (again,) = await one.beat("one", TP, ["a"], at=NOW + 21, lifetime=10.0)
    assert len({*epochs, again.epoch}) == 4


async def test_nothing_is_written_under_the_epoch_of_a_lease_that_is_gone(
    open_store: OpenStore, make_watch: MakeWatch
) -> None:
    one, two = await open_store(), await open_store()
    watch = make_watch()
    await one.add(watch)
    (old,) = await one.beat("one", TP, ["a"], at=NOW, lifetime=10.0)
    (new,) = await two.beat("two", TP, ["a"], at=NOW + 10, lifetime=10.0)
    step = done(watch)
    assert await one.save(step.watch, inbox_entry(step), epoch=old.epoch) is None
    assert await one.get(watch.id) == watch
    assert await one.unseen(watch.owner) == ()
    assert await two.save(step.watch, inbox_entry(step), epoch=new.epoch) is not None


async def test_what_is_wanted_no_longer_and_the_dead_are_forgotten(open_store: OpenStore) -> None:
    store = await open_store()
    await store.beat("dead", TP, ["c"], at=NOW - 7200, lifetime=10.0)
    await store.beat("one", TP, ["a", "b"], at=NOW, lifetime=10.0)
    assert {each.target for each in await store.beat("one", TP, ["a"], at=NOW + 5, lifetime=10.0)} == {"a"}


async def test_another_processs_writes_move_the_version_and_ones_own_do_not(
    open_store: OpenStore, make_watch: MakeWatch
) -> None:
    one, two = await open_store(), await open_store()
    before = await one.version()
    await one.add(make_watch())
    assert await one.version() == before
    await two.add(make_watch())
    assert await one.version() != before


async def test_several_watches_are_read_at_once_and_revisions_told(store: Store, make_watch: MakeWatch) -> None:
    first, second, ended = make_watch(), make_watch(), make_watch()
    await store.add(first)
    await store.add(second)
    await end(store, ended)
    assert await store.save(second) is not None
    assert await store.unended_revisions(first.server) == {first.id: 0, second.id: 1}
    found = await store.get_many([first.id, ended.id, "w_00000000"])
    assert {each.id for each in found} == {first.id, ended.id}
