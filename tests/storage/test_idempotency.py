"""Which watch answers the same call: decided by the store, in the transaction that would write another."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tp_mcp.errors import WatchLimitError
from tp_mcp.storage import watches as sqlite_store
from tp_mcp.storage.opening import open_storage
from tp_mcp.storage.schema import MIGRATIONS
from tp_mcp.storage.watch_rows import watch_to_row
from tp_mcp.watch.lifecycle import state_machine
from tp_mcp.watch.model.idempotency import REPEAT_SECONDS
from tp_mcp.watch.model.reading import Outcome
from tp_mcp.watch.model.watch import Owner, Watch, WatchState
from tp_mcp.watch.store import Store

NOW = 1_780_000_000.0
MakeWatch = Callable[..., Watch]


@pytest.mark.parametrize("state", [WatchState.STARTING, WatchState.ACTIVE])
async def test_a_watch_that_goes_on_answers_however_old_it_is(
    store: Store, make_watch: MakeWatch, state: WatchState
) -> None:
    watch = make_watch(state=state, idempotency_key="k")
    assert await store.add(watch) is None
    again = make_watch(idempotency_key="k", created_at=NOW + 9 * 3600)
    assert await store.add(again) == watch
    assert await store.get(again.id) is None


@pytest.mark.parametrize(
    ("changes", "answers"),
    [
        ({"state": WatchState.DONE}, True),
        ({"state": WatchState.FAILED}, True),
        ({"state": WatchState.TIMED_OUT}, True),
        ({"state": WatchState.LOST}, True),
        ({"state": WatchState.CANCELLED}, False),
        ({"state": WatchState.FAILED, "started_at": None}, False),
        ({"state": WatchState.FAILED, "started_at": None, "outcome": Outcome.UNKNOWN}, True),
        ({"state": WatchState.TIMED_OUT, "started_at": None}, True),
        ({"state": WatchState.DONE, "ended_at": NOW - REPEAT_SECONDS}, False),
        ({"state": WatchState.DONE, "ended_at": NOW + 3600}, False),
    ],
)
async def test_an_end_answers_unless_it_was_cancelled_refused_or_long_ago(
    store: Store, make_watch: MakeWatch, changes: dict[str, Any], answers: bool
) -> None:
    watch = make_watch(idempotency_key="k", **{"ended_at": NOW - REPEAT_SECONDS + 1, **changes})
    await store.add(watch)
    again = make_watch(idempotency_key="k")
    assert await store.add(again) == (watch if answers else None)
    assert (await store.get(again.id) is None) == answers


async def test_only_the_same_principals_conversation_on_the_same_tp_is_answered(
    store: Store, make_watch: MakeWatch, alice: Owner
) -> None:
    await store.add(make_watch(idempotency_key="k"))
    others = (
        make_watch(idempotency_key="other"),
        make_watch(idempotency_key="k", owner=replace(alice, principal="local:bob")),
        make_watch(idempotency_key="k", owner=replace(alice, conversation="thread:2")),
        make_watch(idempotency_key="k", server="http://other.example"),
    )
    for other in others:
        assert await store.add(other) is None


async def test_watches_without_a_key_repeat_nothing(store: Store, make_watch: MakeWatch, alice: Owner) -> None:
    for _ in range(2):
        assert await store.add(make_watch()) is None
    assert await store.repeated(alice, server=make_watch().server, key="", now=NOW) is None


async def test_a_full_store_still_answers_with_what_there_is(
    store: Store, make_watch: MakeWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_store, "MAX_UNENDED_WATCHES", 1)
    watch = make_watch(idempotency_key="k")
    await store.add(watch)
    assert await store.add(make_watch(idempotency_key="k")) == watch
    with pytest.raises(WatchLimitError):
        await store.add(make_watch(idempotency_key="other"))


async def test_of_two_processes_at_once_one_writes(
    open_store: Callable[[], Awaitable[Store]], make_watch: MakeWatch
) -> None:
    stores = [await open_store() for _ in range(2)]
    watches = [make_watch(idempotency_key=f"k{number // 2}") for number in range(40)]
    answers = await asyncio.gather(*(stores[number % 2].add(watch) for number, watch in enumerate(watches)))
    written = [watch for watch, same in zip(watches, answers, strict=True) if same is None]
    assert sorted(watch.idempotency_key for watch in written) == sorted(f"k{number}" for number in range(20))
    assert {same.id for same in answers if same is not None} == {watch.id for watch in written}


async def test_the_newest_of_several_answers(store: Store, make_watch: MakeWatch, alice: Owner) -> None:
    old = make_watch(idempotency_key="k", created_at=NOW - 50)
    await store.add(old)
    await store.save(state_machine.cancel(old, reason="no", now=NOW - 40).watch)
    new = make_watch(idempotency_key="k", created_at=NOW - 30)
    await store.add(new)
    assert await store.repeated(alice, server=new.server, key="k", now=NOW) == new


async def test_a_file_from_before_there_were_keys_keeps_its_watches(path: Path, make_watch: MakeWatch) -> None:
    watch = make_watch()
    row = watch_to_row(watch)
    for later in ("call_key", "chain", "parent", "pending_step", "kind", "testbed"):
        del row[later]
    path.parent.mkdir(mode=0o700)
    db = sqlite3.connect(path)
    db.executescript(MIGRATIONS[0])
    db.execute(f"INSERT INTO watches ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", list(row.values()))
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.close()
    store = (await open_storage(path.parent)).watches
    assert await store.get(watch.id) == replace(watch, testbed="AT16")
    assert await store.add(make_watch(idempotency_key="k")) is None
    await store.close()
