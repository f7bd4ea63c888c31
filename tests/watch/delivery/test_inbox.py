"""Ends that wait until they are seen."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tp_mcp.watch.delivery import inbox as inbox_module
from tp_mcp.watch.delivery.inbox import Inbox, Visit
from tp_mcp.watch.model.watch import Owner, Watch

EXACT = Owner("local:alice", "thread:1", exact=True)
OTHER = Owner("local:alice", "thread:2", exact=True)
SHARED = Owner("local:alice", "project:/home/alice", exact=False)

MakeWatch = Callable[..., Watch]


async def ended(world: Any, make_watch: MakeWatch, owner: Owner = EXACT, job: str = "1") -> Watch:
    watch: Watch = await world.add(make_watch(job, owner=owner))
    world.reader.on(job, {"status": "done"})
    await world.advance(16)
    assert watch.id in await world.unseen(owner)
    return watch


async def visit(
    inbox: Inbox,
    owner: Owner,
    *,
    names: list[str] | None = None,
    job: str | None = None,
    unique: bool = False,
    hand_over: bool = True,
) -> list[str]:
    """Make one request of a conversation, whose result shows what there is to show; return what that was."""
    began = await inbox.begin(owner)
    if names or job:
        await inbox.name(began, watch_ids=names or [], job=job, job_is_one_watchs=unique)
    shown = [entry.watch_id for entry in await inbox.to_show(began)]
    if hand_over:
        inbox.handed_over(began, shown)
    return shown


async def test_an_end_is_shown_twice_and_then_counts_as_seen(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await ended(world, make_watch)
        assert [await visit(world.inbox, EXACT) for _ in range(4)] == [[watch.id], [watch.id], [], []]
        assert await world.unseen() == []


async def test_a_result_that_nobody_went_on_from_is_no_showing(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await ended(world, make_watch)
        for _ in range(5):
            assert await visit(world.inbox, EXACT, hand_over=False) == [watch.id]


async def test_requests_that_run_at_once_confirm_no_showing_of_each_other(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        watch = await ended(world, make_watch)
        visits = [await world.inbox.begin(EXACT) for _ in range(5)]
        for each in visits:
            world.inbox.handed_over(each, [entry.watch_id for entry in await world.inbox.to_show(each)])
        assert await visit(world.inbox, EXACT) == [watch.id]
        assert await visit(world.inbox, EXACT) == []


async def test_what_a_dead_process_showed_last_is_shown_once_more(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await ended(world, make_watch)
        await visit(world.inbox, EXACT)
        await visit(world.inbox, EXACT)
        again = Inbox(store=world.store, clock=world.clock)
        assert [await visit(again, EXACT) for _ in range(2)] == [[watch.id], []]


@pytest.mark.parametrize("owner", [EXACT, SHARED])
async def test_naming_an_end_that_was_shown_lets_it_count_as_seen(
    open_world: Any, make_watch: MakeWatch, owner: Owner
) -> None:
    async with open_world() as world:
        watch, other = await ended(world, make_watch, owner), await ended(world, make_watch, owner, "2")
        await visit(world.inbox, owner)
        assert await visit(world.inbox, owner, names=[watch.id]) == [other.id]
        assert await world.unseen(owner) == [other.id]


async def test_naming_the_job_of_an_end_that_was_shown_lets_it_count_as_seen(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        watch, other = await ended(world, make_watch), await ended(world, make_watch, job="2")
        await visit(world.inbox, EXACT)
        assert await visit(world.inbox, EXACT, job=watch.job) == [other.id]


@pytest.mark.parametrize("owner", [EXACT, SHARED])
async def test_naming_an_end_before_it_was_shown_is_not_enough(
    open_world: Any, make_watch: MakeWatch, owner: Owner
) -> None:
    async with open_world() as world:
        watch = await ended(world, make_watch, owner)
        for _ in range(3):
            assert await visit(world.inbox, owner, names=[watch.id], hand_over=False) == [watch.id]
        assert await visit(world.inbox, owner, names=[watch.id]) == [watch.id]
        assert await visit(world.inbox, owner, names=[watch.id]) == []


@pytest.mark.parametrize("owner", [EXACT, SHARED])
async def test_an_end_told_by_the_result_itself_is_not_appended_and_counts_as_shown(
    open_world: Any, make_watch: MakeWatch, owner: Owner
) -> None:
    async with open_world() as world:
        watch = await ended(world, make_watch, owner)
        began = await world.inbox.begin(owner)
        await world.inbox.name(began, watch_ids=[watch.id])
        began.reported.add(watch.id)
        assert await world.inbox.to_show(began) == ()
        world.inbox.handed_over(began, [])
        assert await visit(world.inbox, owner) == [watch.id], "the client may have dropped the result that told it"
        assert await visit(world.inbox, owner) == []


async def test_on_a_shared_key_no_number_of_showings_is_enough(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await ended(world, make_watch, SHARED)
        for _ in range(6):
            assert await visit(world.inbox, SHARED) == [watch.id]
        assert await visit(world.inbox, SHARED, names=[watch.id]) == []


async def test_on_a_shared_key_two_showings_are_enough_for_what_a_call_named(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        mine, other = await ended(world, make_watch, SHARED), await ended(world, make_watch, SHARED, "2")
        world.inbox.made(SHARED, other.id)
        assert set(await visit(world.inbox, SHARED, names=[mine.id])) == {mine.id, other.id}
        assert set(await visit(world.inbox, SHARED)) == {mine.id, other.id}
        for _ in range(3):
            assert await visit(world.inbox, SHARED) == [other.id], "it was made here, but perhaps by the other chat"


async def test_on_a_shared_key_another_process_takes_no_end_away_by_its_job(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        watch = await ended(world, make_watch, SHARED)
        mine, its = world.inbox, Inbox(store=world.store, clock=world.clock)
        mine.made(SHARED, watch.id)
        for _ in range(4):
            assert await visit(its, SHARED, job=watch.job, unique=True) == [watch.id]
        for _ in range(2):
            assert await visit(mine, SHARED, hand_over=False) == [watch.id]
        assert await visit(mine, SHARED, job=watch.job, unique=True) == [watch.id], "it was shown elsewhere alone"
        assert await visit(mine, SHARED, job=watch.job, unique=True) == []


@pytest.mark.parametrize("unique", [True, False])
async def test_on_a_shared_key_a_job_names_only_a_watch_of_this_process_that_alone_can_have_made_it(
    open_world: Any, make_watch: MakeWatch, unique: bool
) -> None:
    async with open_world() as world:
        watch = await ended(world, make_watch, SHARED)
        world.inbox.made(SHARED, watch.id)
        await visit(world.inbox, SHARED)
        assert await visit(world.inbox, SHARED, job=watch.job, unique=unique) == ([] if unique else [watch.id])


async def test_what_a_process_remembers_of_shared_keys_is_bounded(
    open_world: Any, make_watch: MakeWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "MAX_KNOWN", 2)
    async with open_world() as world:
        watch = await ended(world, make_watch, SHARED)
        await visit(world.inbox, SHARED, names=[watch.id])
        await visit(world.inbox, SHARED, names=["w_00000000", "w_00000001"])
        for _ in range(4):
            assert await visit(world.inbox, SHARED) == [watch.id]


async def test_a_conversation_is_shown_the_ends_of_its_shared_key_too_and_they_stay_shared(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        own, left = await ended(world, make_watch), await ended(world, make_watch, SHARED, "2")
        both = replace(EXACT, also=SHARED.conversation)
        for _ in range(2):
            assert set(await visit(world.inbox, both)) == {own.id, left.id}
        assert await visit(world.inbox, both) == [left.id]
        assert await visit(world.inbox, SHARED) == [left.id]
        assert await visit(world.inbox, both, names=[left.id]) == []
        assert await visit(world.inbox, SHARED) == []


async def test_conversations_see_their_own_ends_alone(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await ended(world, make_watch)
        for owner in (OTHER, SHARED, Owner("local:bob", EXACT.conversation, exact=True)):
            assert await visit(world.inbox, owner) == []
            assert await visit(world.inbox, owner, names=[watch.id], job=watch.job) == []
        assert await visit(world.inbox, EXACT) == [watch.id]


async def test_another_conversation_that_looks_at_a_watch_has_not_seen_it_for_its_own(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        watch = await ended(world, make_watch)
        for _ in range(4):
            began: Visit = await world.inbox.begin(OTHER)
            await world.inbox.name(began, watch_ids=[watch.id], job=watch.job)
            began.reported.add(watch.id)
            world.inbox.handed_over(began, [])
        assert await visit(world.inbox, EXACT) == [watch.id]
        [entry] = await world.store.real.unseen(EXACT)
        assert entry.showings == 0


async def test_the_least_shown_ends_come_first_and_of_those_the_newest(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        older = [await ended(world, make_watch, job=str(number)) for number in range(2)]
        assert set(await visit(world.inbox, EXACT)) == {watch.id for watch in older}
        await world.advance(1)
        newer = await ended(world, make_watch, job="2")
        await world.advance(1)
        newest = await ended(world, make_watch, job="3")
        assert (await visit(world.inbox, EXACT))[:2] == [newest.id, newer.id]


async def test_an_end_for_which_there_was_no_room_was_not_shown(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        shown, left_out = await ended(world, make_watch), await ended(world, make_watch, job="2")
        for _ in range(3):
            began = await world.inbox.begin(EXACT)
            world.inbox.handed_over(began, [shown.id])
        assert [(entry.watch_id, entry.showings) for entry in await world.store.real.unseen(EXACT)] == [
            (left_out.id, 0)
        ]


async def test_a_quiet_conversation_writes_nothing(open_world: Any) -> None:
    async with open_world() as world:
        for _ in range(3):
            assert await visit(world.inbox, EXACT, names=["w_00000000"]) == []
        assert {"count_showings", "mark_seen"}.isdisjoint(world.store.calls)
