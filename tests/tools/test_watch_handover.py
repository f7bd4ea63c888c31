"""Handing watches over, and what a list says of how ends were told."""

from dataclasses import replace
from typing import Any

import pytest

from tests.support.process import ALICE, LAB
from tests.support.world import World
from tp_mcp.errors import StoreBusyError, WatchNotFoundError
from tp_mcp.watch.delivery.delivery_log import Channel
from tp_mcp.watch.model.watch import Owner

BUILD: dict[str, Any] = {"testbed": LAB, "mode": "build", "build_number": "6955"}
BOB = Owner("local:bob", "environment:one", exact=True)
OTHER_CHAT = replace(ALICE, conversation="environment:two")


async def started(world: World, owner: Owner = ALICE) -> str:
    return (await world.call("start_upgrade", owner=owner, **BUILD))[1:11]


async def test_a_watch_that_goes_on_is_told_where_it_went(world: World) -> None:
    watch_id = await started(world)
    text = await world.call("hand_over_watch", owner=OTHER_CHAT, watch_id=watch_id)
    assert text.startswith(f"[{watch_id}] upgrade of {LAB} to build 6955 is under way. It belongs to this conversation")
    assert f"no longer to {ALICE.handle}" in text
    await world.advance(400)
    assert watch_id in await world.call("list_watches", owner=OTHER_CHAT)
    assert (await world.call("list_watches")).startswith("There is no watch in this conversation")
    inbox = world.services.watches.inbox
    assert [end.watch_id for end in await inbox.to_show(await inbox.begin(OTHER_CHAT))] == [watch_id]
    assert await inbox.to_show(await inbox.begin(ALICE)) == ()


async def test_an_end_that_waits_goes_along_and_one_that_was_seen_does_not(world: World) -> None:
    watch_id = await started(world)
    await world.advance(400)
    await started(world, OTHER_CHAT)
    text = await world.call("hand_over_watch", watch_id=watch_id, conversation=OTHER_CHAT.handle)
    assert f"It belongs to conversation {OTHER_CHAT.handle} now" in text
    assert "Its end was not seen yet and will be reported there" in text
    for _ in range(2):
        await world.call("wait_for_watch", owner=OTHER_CHAT, watch_id=watch_id)
    await world.services.watches.inbox._store.mark_seen([watch_id], 0.0)
    assert "was already seen" in await world.call("hand_over_watch", watch_id=watch_id)


async def test_handing_over_what_is_there_already_changes_nothing(world: World) -> None:
    watch_id = await started(world)
    for conversation in (None, ALICE.handle):
        text = await world.call("hand_over_watch", watch_id=watch_id, conversation=conversation)
        assert text == f"[{watch_id}] belongs to this conversation already; nothing was changed."


async def test_a_conversation_that_is_not_known_is_refused_with_those_that_are(world: World) -> None:
    watch_id = await started(world)
    text = await world.refused("hand_over_watch", watch_id=watch_id, conversation="chat_0123456789")
    assert f"There are: {ALICE.handle}" in text
    assert BOB.handle not in text


async def test_a_watch_of_another_principal_cannot_be_taken(world: World) -> None:
    watch_id = await started(world)
    assert "There is no watch" in await world.refused("hand_over_watch", owner=BOB, watch_id=watch_id)
    assert watch_id in await world.call("list_watches")


async def test_a_list_says_how_an_end_was_told_and_whether_it_was_seen(world: World) -> None:
    watch_id = await started(world)
    await world.advance(400)
    assert "its end was not seen yet, shown 0 times): get_upgrade" in await world.call("list_watches")
    for outcome in ("answered 500", "answered 200"):
        await world.services.watches.deliveries.record(watch_id, Channel.WEBHOOK, outcome)
    await world.services.watches.deliveries.record(watch_id, Channel.SUBSCRIPTION, "sent")
    await world.services.watches.inbox._store.mark_seen([watch_id], 0.0)
    text = await world.call("list_watches")
    assert "; its end was seen; sent by webhook, 2 times (answered 200); sent by subscription (sent)): " in text


async def test_a_list_of_all_conversations_names_them(world: World) -> None:
    await started(world)
    text = await world.call("list_watches", owner=OTHER_CHAT, all_conversations=True)
    assert f"This conversation is {OTHER_CHAT.handle}." in text
    assert f"; conversation {ALICE.handle}): wait_for_watch" in text


async def test_a_list_is_given_also_where_how_ends_were_told_cannot_be_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(*_: object) -> None:
        raise StoreBusyError("The store is busy.")

    watch_id = await started(world)
    await world.advance(400)
    monkeypatch.setattr(world.services.watches.store, "entries", busy)
    text = await world.call("list_watches")
    assert watch_id in text
    assert "seen" not in text


async def test_what_is_gone_by_the_time_it_is_handed_over_is_said_to_be(world: World) -> None:
    with pytest.raises(WatchNotFoundError, match="There is no watch 'w_00000000'"):
        await world.services.watches.registry.hand_over("w_00000000", OTHER_CHAT)
