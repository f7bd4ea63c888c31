"""Stores under contract, and the real SQLite one with its file."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.watch.conftest import alice, clock, make_spec, make_watch, match_spec
from tp_mcp.storage.engines.sqlite import Connection
from tp_mcp.storage.opening import STORE_FILE, open_storage
from tp_mcp.storage.schema import MIGRATIONS
from tp_mcp.watch.store import Store

OpenStore = Callable[[], Awaitable[Store]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / STORE_FILE


@pytest.fixture(params=["sqlite"])
async def open_store(request: Any, tmp_path: Path) -> AsyncIterator[OpenStore]:
    """Open a store of each kind there is; opening it again is another process on the same data."""
    opened: list[Store] = []

    async def open_sqlite() -> Store:
        store = (await open_storage(tmp_path / "state")).watches
        opened.append(store)
        return store

    yield {"sqlite": open_sqlite}[request.param]
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_store: OpenStore) -> Store:
    return await open_store()


@pytest.fixture
async def connect(path: Path) -> AsyncIterator[Callable[..., Awaitable[Connection]]]:
    """Open a connection to the store's file; it waits only briefly for others."""
    opened: list[Connection] = []

    async def connected(**options: Any) -> Connection:
        connection = Connection(path, **{"migrations": MIGRATIONS, "busy_timeout_seconds": 0.1, **options})
        await connection.open()
        opened.append(connection)
        return connection

    yield connected
    for connection in opened:
        await connection.close()


__all__ = ["alice", "clock", "make_spec", "make_watch", "match_spec"]
