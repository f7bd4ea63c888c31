from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.clock import FakeClock, still_clock
from tp_mcp.access.access_tokens import Tokens
from tp_mcp.access.confirmations import Confirmations
from tp_mcp.storage.access import AuditTable
from tp_mcp.storage.opening import Storage, open_storage


@pytest.fixture
def clock() -> FakeClock:
    return still_clock()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Storage]:
    opened = await open_storage(tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
def audit(store: Storage) -> AuditTable:
    return store.audit


@pytest.fixture
def confirmations(store: Storage, clock: FakeClock) -> Confirmations:
    return Confirmations(store.confirmations, clock)


@pytest.fixture
def tokens(store: Storage, clock: FakeClock) -> Tokens:
    return Tokens(store.tokens, clock)
