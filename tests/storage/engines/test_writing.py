"""Writes that wait together share a transaction, and none pays for another."""

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tp_mcp.errors import StoreError, StoreFullError
from tp_mcp.storage.engines import sqlite as connection_module
from tp_mcp.storage.engines.sqlite import Connection
from tp_mcp.storage.schema import MIGRATIONS

Connect = Callable[..., Awaitable[Connection]]
Work = Callable[[sqlite3.Connection], object]


def insert(name: str) -> Work:
    return lambda db: db.execute("INSERT INTO processes (id, beat_at) VALUES (?, 0)", (name,))


async def there(connection: Connection) -> list[str]:
    return await connection.run(lambda db: [row[0] for row in db.execute("SELECT id FROM processes ORDER BY id")])


async def together(connection: Connection, *works: Work) -> list[object]:
    """Ask for writes while the thread is busy, so that they wait together."""
    go_on = threading.Event()
    busy = asyncio.create_task(connection.run(lambda _: go_on.wait(10)))
    await asyncio.sleep(0)
    writes = [asyncio.create_task(connection.write(work)) for work in works]
    await asyncio.sleep(0)
    go_on.set()
    await busy
    return list(await asyncio.gather(*writes, return_exceptions=True))


async def test_writes_that_wait_together_share_one_transaction(connect: Connect) -> None:
    connection = await connect()
    seen: list[str] = []
    await connection.run(lambda db: db.set_trace_callback(seen.append))
    await together(connection, *(insert(str(number)) for number in range(5)))
    await connection.run(lambda db: db.set_trace_callback(None))
    assert seen.count("COMMIT") == 1
    assert await there(connection) == ["0", "1", "2", "3", "4"]


async def test_a_group_has_an_end(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "MOST_WRITES_AT_ONCE", 2)
    connection = await connect()
    seen: list[str] = []
    await connection.run(lambda db: db.set_trace_callback(seen.append))
    await together(connection, *(insert(str(number)) for number in range(5)))
    await connection.run(lambda db: db.set_trace_callback(None))
    assert seen.count("COMMIT") == 3
    assert len(await there(connection)) == 5


async def test_a_write_that_raises_undoes_itself_alone(connect: Connect) -> None:
    connection = await connect()

    def half(db: sqlite3.Connection) -> None:
        insert("half")(db)
        raise KeyError("a fault")

    results = await together(connection, insert("one"), half, insert("one"), insert("two"))
    assert isinstance(results[1], KeyError)
    assert isinstance(results[2], StoreError), "its row is there already"
    assert await there(connection) == ["one", "two"]


async def test_a_transaction_that_fails_as_a_whole_fails_each_of_its_writes(connect: Connect) -> None:
    connection = await connect()
    pages = await connection.run(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
    await connection.run(lambda db: db.execute(f"PRAGMA max_page_count = {pages}"))
    results = await together(connection, insert("one"), *(insert(f"{number}{'x' * 5_000}") for number in range(20)))
    assert all(isinstance(result, StoreFullError) for result in results)
    assert len({id(result) for result in results}) == len(results), "each has an error of its own"
    assert await there(connection) == []
    await connection.run(lambda db: db.execute(f"PRAGMA max_page_count = {pages + 1000}"))
    await connection.write(insert("one"))
    assert await there(connection) == ["one"]


async def test_a_write_whose_caller_left_is_finished(connect: Connect) -> None:
    connection = await connect()
    go_on = threading.Event()
    busy = asyncio.create_task(connection.run(lambda _: go_on.wait(10)))
    await asyncio.sleep(0)
    writing = asyncio.create_task(connection.write(insert("one")))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    go_on.set()
    await busy
    assert await there(connection) == ["one"]


async def test_a_closed_store_writes_nothing(path: Path) -> None:
    connection = Connection(path, MIGRATIONS)
    await connection.open()
    await connection.close()
    with pytest.raises(StoreError, match="closed"):
        await connection.write(insert("one"))
