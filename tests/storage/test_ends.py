"""The order in which ends were written."""

from collections.abc import Callable

import pytest

from tp_mcp.storage import inbox
from tp_mcp.watch.delivery.messages import inbox_entry
from tp_mcp.watch.lifecycle import state_machine
from tp_mcp.watch.model.watch import Watch
from tp_mcp.watch.store import Store

NOW = 1_780_000_000.0
MakeWatch = Callable[..., Watch]


async def ended(store: Store, watch: Watch) -> str:
    await store.add(watch)
    step = state_machine.refuse(watch, reason="It was refused.", now=NOW)
    assert await store.save(step.watch, inbox_entry(step)) is not None
    return watch.id


async def test_ends_come_after_a_cursor_in_the_order_in_which_they_were_written(
    store: Store, make_watch: MakeWatch
) -> None:
    await ended(store, make_watch("0"))
    cursor, none = await store.ends_after(None)
    assert none == ()
    assert await store.ends_after(cursor) == (cursor, ())
    ids = [await ended(store, make_watch(str(number))) for number in range(1, 4)]
    after, found = await store.ends_after(cursor)
    assert list(found) == ids
    assert await store.ends_after(after) == (after, ())


async def test_a_part_is_returned_where_there_are_many(
    store: Store, make_watch: MakeWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "MAX_ENDS_AT_ONCE", 2)
    ids = [await ended(store, make_watch(str(number))) for number in range(5)]
    cursor, found = 0, list[str]()
    for size in (2, 2, 1):
        cursor, part = await store.ends_after(cursor)
        assert len(part) == size
        found += part
    assert found == ids


async def test_a_cursor_beyond_the_newest_end_falls_back_to_it(store: Store, make_watch: MakeWatch) -> None:
    watch_id = await ended(store, make_watch())
    cursor, _ = await store.ends_after(None)
    assert await store.ends_after(cursor + 7) == (cursor, ())
    await store.purge(ended_before=NOW + 1, unseen_before=NOW + 1)
    assert await store.get(watch_id) is None
    assert await store.ends_after(cursor) == (0, ())
