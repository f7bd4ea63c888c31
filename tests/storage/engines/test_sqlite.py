"""One connection on one thread, and SQLite's failures in our words."""

import asyncio
import gc
import logging
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.patience import PATIENCE_SECONDS
from tp_mcp.errors import (
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreLocationError,
    StoreVersionError,
)
from tp_mcp.storage.engines.sqlite import Connection
from tp_mcp.storage.opening import open_storage
from tp_mcp.storage.schema import MIGRATIONS
from tp_mcp.storage.watch_rows import row_to_watch
from tp_mcp.storage.watches import WatchStore
from tp_mcp.watch.model.watch import Watch

Connect = Callable[..., Awaitable[Connection]]
MakeWatch = Callable[..., Watch]

PAGE_BYTES = 4096
HOLD_THE_FILE = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
db.execute("ROLLBACK")
print("free", flush=True)
sys.stdin.readline()
"""


class Holder:
    """Another process that holds the write lock of a store's file."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", HOLD_THE_FILE, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._expect("held")

    def let_go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._expect("free")

    def end(self) -> None:
        self._process.communicate("\n\n", timeout=10)

    def _expect(self, word: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == word


def bare(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


async def test_everything_runs_on_one_thread_that_is_not_the_loops(connect: Connect) -> None:
    connection = await connect()
    threads = {await connection.run(lambda _: threading.get_ident()) for _ in range(5)}
    threads.add(await connection.write(lambda _: threading.get_ident()))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_a_write_that_fails_leaves_nothing(connect: Connect) -> None:
    connection = await connect()

    def half(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE half (a)")
        raise KeyError("a fault")

    with pytest.raises(KeyError):
        await connection.write(half)
    names = await connection.run(lambda db: [row["name"] for row in db.execute("SELECT name FROM sqlite_master")])
    assert "half" not in names
    assert "watches" in names


async def test_a_file_held_by_another_process_can_be_read_and_is_busy_to_write(
    connect: Connect, make_watch: MakeWatch, path: Path
) -> None:
    connection = await connect()
    store, watch = WatchStore(connection), make_watch()
    holder = Holder(path)
    try:
        assert await store.get(watch.id) is None
        with pytest.raises(StoreBusyError, match="held by another process"):
            await store.add(watch)
        # It needs nothing written, so it opens all the same.
        assert await WatchStore(await connect()).unended(watch.server) == ()
        holder.let_go()
        await store.add(watch)
        assert await store.get(watch.id) == watch
    finally:
        holder.end()


async def test_a_new_file_held_by_another_process_is_busy_to_open(connect: Connect, path: Path) -> None:
    path.parent.mkdir()
    holder = Holder(path)
    try:
        with pytest.raises(StoreBusyError):
            await connect()
        holder.let_go()
        await connect()
    finally:
        holder.end()


async def test_a_short_hold_is_waited_for(connect: Connect, make_watch: MakeWatch, path: Path) -> None:
    store, watch = WatchStore(await connect(busy_timeout_seconds=10.0)), make_watch()
    holder = Holder(path)
    try:
        writing = asyncio.create_task(store.add(watch))
        await asyncio.sleep(0.05)
        assert not writing.done()
        holder.let_go()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await writing
        assert await store.get(watch.id) == watch
    finally:
        holder.end()


async def test_many_processes_opening_a_new_file_at_once_all_get_it(connect: Connect) -> None:
    connections = await asyncio.gather(*(connect(busy_timeout_seconds=10.0) for _ in range(6)))
    assert {await each.run(lambda db: db.execute("PRAGMA user_version").fetchone()[0]) for each in connections} == {
        len(MIGRATIONS)
    }


async def test_a_full_disk_is_said_and_loses_nothing(connect: Connect, make_watch: MakeWatch) -> None:
    connection = await connect()
    store = WatchStore(connection)
    kept = make_watch()
    await store.add(kept)
    pages = await connection.run(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
    await connection.run(lambda db: db.execute(f"PRAGMA max_page_count = {pages}").fetchone())
    full = make_watch(last_answer="x" * 100_000)
    with pytest.raises(StoreFullError, match="no space left"):
        await store.add(full)
    assert await store.get(kept.id) == kept
    assert await store.get(full.id) is None
    await connection.run(lambda db: db.execute("PRAGMA max_page_count = 1000000").fetchone())
    await store.add(full)
    assert await store.get(full.id) == full


async def test_a_file_that_is_no_store_is_called_damaged_and_left_alone(connect: Connect, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"This is no database at all. " * 100)
    with pytest.raises(StoreCorruptError, match="is damaged") as damaged:
        await connect()
    assert "Move watches.sqlite3" in damaged.value.remedy
    assert path.read_bytes().startswith(b"This is no database")


async def test_a_page_that_was_damaged_is_called_so(connect: Connect, make_watch: MakeWatch, path: Path) -> None:
    connection = await connect()
    store = WatchStore(connection)
    for number in range(30):
        await store.add(make_watch(str(number), last_answer="x" * 4000))
    page: int = await connection.run(
        lambda db: db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'watches'").fetchone()[0]
    )
    await connection.close()
    data = bytearray(path.read_bytes())
    data[(page - 1) * PAGE_BYTES : page * PAGE_BYTES] = b"\xff" * PAGE_BYTES
    path.write_bytes(data)
    damaged = WatchStore(await connect())
    with pytest.raises(StoreCorruptError):
        await damaged.unended("http://tp.example:8000")


def read_column(db: sqlite3.Connection, *, column: str) -> str:
    value: str = db.execute(f"SELECT {column} FROM watches").fetchone()[0]
    return value


def write_column(db: sqlite3.Connection, *, column: str, value: str) -> None:
    db.execute(f"UPDATE watches SET {column} = ?", (value,))


async def test_a_row_that_is_no_watch_is_called_damaged(connect: Connect, make_watch: MakeWatch) -> None:
    connection = await connect()
    store, watch = WatchStore(connection), make_watch()
    await store.add(watch)
    for column, value in (("record", "{}"), ("spec", "no JSON"), ("state", "asleep")):
        before = await connection.run(partial(read_column, column=column))
        await connection.write(partial(write_column, column=column, value=value))
        with pytest.raises(StoreCorruptError, match=f"The watch {watch.id} in the store cannot be read"):
            await store.get(watch.id)
        await connection.write(partial(write_column, column=column, value=before))
    assert await store.get(watch.id) == watch


async def test_a_row_that_is_no_watch_does_not_keep_the_others_from_being_watched(
    connect: Connect, make_watch: MakeWatch, caplog: pytest.LogCaptureFixture
) -> None:
    connection = await connect()
    store, damaged, other = WatchStore(connection), make_watch("1"), make_watch("2")
    await store.add(damaged)
    await connection.write(partial(write_column, column="record", value="{}"))
    await store.add(other)
    assert [watch.id for watch in await store.unended(None)] == [other.id]
    assert damaged.id in caplog.text


async def test_a_newer_file_is_refused_with_the_way_out_and_left_alone(connect: Connect, path: Path) -> None:
    connection = await connect()
    await connection.run(lambda db: db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}"))
    await connection.close()
    with pytest.raises(
        StoreVersionError, match=f"store version {len(MIGRATIONS) + 1}, this one knows {len(MIGRATIONS)}"
    ) as newer:
        await connect()
    assert "Update tp-mcp" in newer.value.remedy
    with closing(bare(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)


async def test_a_new_file_takes_every_step_and_an_old_one_none_again(connect: Connect, path: Path) -> None:
    await (await connect()).close()
    db = bare(path)
    assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert {"watches", "inbox"} <= tables
    db.execute("PRAGMA user_version = 0")
    db.close()
    with pytest.raises(StoreError, match="already exists"):
        await connect()


async def test_a_step_that_fails_leaves_the_file_as_it_was(
    connect: Connect, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = ("CREATE TABLE one (a);\nCREATE TABLE two (b);", "CREATE TABLE one (again);")
    with pytest.raises(StoreError, match="already exists"):
        await connect(migrations=broken)
    db = bare(path)
    assert db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    assert db.execute("PRAGMA user_version").fetchone() == (0,)
    db.close()


async def test_a_file_that_cannot_be_written_says_where_to_look(connect: Connect) -> None:
    connection = await connect()
    await connection.run(lambda db: db.execute("PRAGMA query_only = ON"))
    with pytest.raises(StoreError, match="cannot be used") as refused:
        await connection.write(lambda db: db.execute("DELETE FROM watches"))
    assert "can be written" in refused.value.remedy


async def test_a_location_that_cannot_be_used_is_said_when_it_is_opened(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(StoreLocationError):
        await open_storage(tmp_path / "state")


@pytest.mark.parametrize("value", ["a\ud800", 2**70])
async def test_a_value_that_cannot_be_kept_is_the_stores_error(connect: Connect, value: Any) -> None:
    connection = await connect()
    with pytest.raises(StoreError, match="cannot keep a value"):
        await connection.write(lambda db: db.execute("UPDATE watches SET title = ?", (value,)))


async def test_a_failed_write_of_a_caller_who_left_is_logged_and_nothing_else(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    connection = await connect()
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    began, go_on = threading.Event(), threading.Event()

    def fails(db: sqlite3.Connection) -> None:
        began.set()
        go_on.wait(10)
        db.execute("INSERT INTO nowhere VALUES (1)")

    with caplog.at_level(logging.WARNING):
        writing = asyncio.create_task(connection.write(fails))
        while not began.is_set():
            await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        go_on.set()
        await connection.run(lambda _: None)
        await asyncio.sleep(0)
    del writing
    gc.collect()
    assert "work of a cancelled caller failed in the store: The store" in caplog.text
    assert "no such table: nowhere" in caplog.text
    assert complaints == []


async def test_a_good_write_of_a_caller_who_left_is_not_worth_a_word(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    connection = await connect()
    writing = asyncio.create_task(connection.write(lambda db: db.execute("CREATE TABLE left (a)")))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert await connection.run(lambda db: db.execute("SELECT count(*) FROM left").fetchone()[0]) == 0
    assert caplog.text == ""


@pytest.mark.parametrize("damaged", [False, True])
async def test_an_opening_that_is_cancelled_leaves_no_connection_open(path: Path, damaged: bool) -> None:
    if damaged:
        path.parent.mkdir()
        path.write_bytes(b"This is no database at all. " * 100)
    connection = Connection(path, MIGRATIONS)
    opening = asyncio.create_task(connection.open())
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    with pytest.raises(StoreError, match="The store is closed"):
        await connection.run(lambda _: None)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while any(thread.name.startswith("tp-mcp-store") for thread in threading.enumerate()):
            await asyncio.sleep(0.01)
    assert not path.with_name(path.name + "-wal").exists()


def test_a_row_names_the_watch_that_cannot_be_read() -> None:
    with pytest.raises(StoreCorruptError, match="The watch w_1 in the store"):
        row_to_watch({"id": "w_1", "record": "no JSON"})
