"""Which conversations there are, and watches that go from one to another."""

from collections.abc import Callable
from dataclasses import replace

from tests.storage.test_contract import NOW, done, end
from tp_mcp.watch.delivery.messages import inbox_entry
from tp_mcp.watch.model.watch import Owner, Watch
from tp_mcp.watch.store import Store

MakeWatch = Callable[..., Watch]
ONE = Owner("local", "session:one", exact=True)
TWO = Owner("local", "session:two", exact=True)
THREAD = Owner("local", "threadId:1", exact=True)
SHARED = Owner("local", "http", exact=False)
BOB = Owner("bob", "session:one", exact=True)


async def test_the_conversations_of_a_principal_are_those_with_a_watch(store: Store, make_watch: MakeWatch) -> None:
    for number, owner in enumerate((ONE, TWO, ONE, SHARED, BOB)):
        await store.add(replace(make_watch(str(number), owner=owner), created_at=NOW + number))
    assert await store.conversations("local") == (SHARED, ONE, TWO)


async def test_a_watch_goes_to_another_conversation_with_its_unseen_end(store: Store, make_watch: MakeWatch) -> None:
    watch = make_watch("1", owner=ONE)
    await end(store, watch)
    await store.count_showings([watch.id])
    moved = await store.hand_over(watch.id, THREAD)
    assert moved is not None
    assert moved.owner == THREAD
    assert await store.unseen(ONE) == ()
    [entry] = await store.unseen(THREAD)
    assert (entry.watch_id, entry.owner, entry.showings) == (watch.id, THREAD, 0)


async def test_an_end_that_was_seen_stays_where_it_was_seen(store: Store, make_watch: MakeWatch) -> None:
    watch = make_watch("1", owner=ONE)
    await end(store, watch)
    await store.mark_seen([watch.id], NOW)
    await store.hand_over(watch.id, THREAD)
    [entry] = await store.entries([watch.id, "w_00000000"])
    assert (entry.owner, entry.seen_at) == (ONE, NOW)


async def test_a_watch_of_another_principal_goes_nowhere(store: Store, make_watch: MakeWatch) -> None:
    watch = make_watch("1", owner=BOB)
    await end(store, watch)
    assert await store.hand_over(watch.id, THREAD) is None
    assert await store.hand_over("w_00000000", THREAD) is None
    assert [entry.watch_id for entry in await store.unseen(BOB)] == [watch.id]


async def test_whoever_knew_the_watch_before_it_went_cannot_write_its_end_for_the_old_owner(
    store: Store, make_watch: MakeWatch
) -> None:
    watch = make_watch("1", owner=ONE)
    await store.add(watch)
    moved = await store.hand_over(watch.id, THREAD)
    step = done(watch)
    assert await store.save(step.watch, inbox_entry(step)) is None
    assert moved is not None
    step = done(moved)
    assert await store.save(step.watch, inbox_entry(step)) is not None
    assert [entry.owner for entry in await store.unseen(THREAD)] == [THREAD]


async def test_what_a_session_leaves_goes_to_the_shared_key_of_its_principal(
    store: Store, make_watch: MakeWatch
) -> None:
    watches = {owner: make_watch(str(number), owner=owner) for number, owner in enumerate((ONE, TWO, THREAD, BOB))}
    for watch in watches.values():
        await end(store, watch)
    assert await store.leave("session:", but_for=[TWO.conversation], to_key="http") == 2
    assert [entry.watch_id for entry in await store.unseen(SHARED)] == [watches[ONE].id]
    [left] = await store.unseen(replace(BOB, conversation="http"))
    assert (left.watch_id, left.owner.exact) == (watches[BOB].id, False)
    for owner in (TWO, THREAD):
        assert [entry.watch_id for entry in await store.unseen(owner)] == [watches[owner].id]
    assert await store.leave("session:", but_for=[TWO.conversation], to_key="http") == 0
