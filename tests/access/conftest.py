from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tp_mcp.access.access_tokens import Tokens
from tp_mcp.access.confirmations import Confirmations
from tp_mcp.storage.access import SqliteAuditLog, SqliteConfirmations, SqliteTokens
from tp_mcp.storage.watch_store import SqliteStore


@dataclass
class MovedClock:
    """A clock that a test moves."""

    time: float = 1_000_000.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nothing here waits, but something slept {seconds} s")


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
def audit(store: SqliteStore) -> SqliteAuditLog:
    return SqliteAuditLog(store.connection)


@pytest.fixture
def confirmations(store: SqliteStore, clock: MovedClock) -> Confirmations:
    return Confirmations(SqliteConfirmations(store.connection), clock)


@pytest.fixture
def tokens(store: SqliteStore, clock: MovedClock) -> Tokens:
    return Tokens(SqliteTokens(store.connection), clock)
