from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.clock import FakeClock, still_clock
from tp_mcp.access.access_tokens import Tokens
from tp_mcp.access.confirmations import Confirmations
from tp_mcp.storage.access import SqliteAuditLog, SqliteConfirmations, SqliteTokens
from tp_mcp.storage.watch_store import SqliteStore


@pytest.fixture
def clock() -> FakeClock:
    return still_clock()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
def audit(store: SqliteStore) -> SqliteAuditLog:
    return SqliteAuditLog(store.connection)


@pytest.fixture
def confirmations(store: SqliteStore, clock: FakeClock) -> Confirmations:
    return Confirmations(SqliteConfirmations(store.connection), clock)


@pytest.fixture
def tokens(store: SqliteStore, clock: FakeClock) -> Tokens:
    return Tokens(SqliteTokens(store.connection), clock)
