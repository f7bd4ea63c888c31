"""Confirmations as rows, used by several processes at once."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tp_mcp.access.confirmations import Confirmation
from tp_mcp.storage.access import ConfirmationTable
from tp_mcp.storage.opening import open_storage

NOW = 1_000.0
CODE_HASH = "the hash of a code"


@pytest.fixture
async def confirmations(tmp_path: Path) -> AsyncIterator[ConfirmationTable]:
    async with await open_storage(tmp_path / "state") as storage:
        await storage.confirmations.add(
            Confirmation(
                code_hash=CODE_HASH,
                principal="local:alice",
                conversation="chat",
                digest="of the plan",
                plan=("upgrade AT16",),
                testbed="AT16",
                by_person=True,
                expires_at=NOW + 300,
            )
        )
        yield storage.confirmations


async def test_a_plan_that_expires_while_a_call_reads_it_is_neither_approved_nor_used(
    confirmations: ConfirmationTable,
) -> None:
    assert not await confirmations.approve(CODE_HASH, NOW + 300)
    assert not await confirmations.use(CODE_HASH, NOW + 300)
    assert await confirmations.approve(CODE_HASH, NOW + 299)
    assert await confirmations.use(CODE_HASH, NOW + 299)
