"""The log is written before anything is sent, holds no secret, and cannot be rewritten."""

import asyncio
import logging
from typing import Any

import pytest
from pydantic import SecretStr

from tests.support.clock import FakeClock
from tp_mcp.access.access_tokens import Tokens
from tp_mcp.access.audit_log import AuditEntry, AuditFilter, Event, new_call_id
from tp_mcp.access.confirmations import Confirmations
from tp_mcp.access.control import DETAIL_MAX_CHARACTERS, AccessControl, Trail
from tp_mcp.access.policy import DAY_SECONDS, Action, Policy
from tp_mcp.errors import PolicyError, StoreError
from tp_mcp.redaction import Redactor
from tp_mcp.storage.access import AuditTable
from tp_mcp.storage.opening import Storage
from tp_mcp.watch.model.watch import Owner

ALICE = Owner("local:alice", "chat-1", exact=True)


@pytest.fixture
def control(audit: AuditTable, confirmations: Confirmations, tokens: Tokens, clock: FakeClock) -> AccessControl:
    policy = Policy(daily_upgrades=2)
    return AccessControl(policy, confirmations, tokens, audit, clock, Redactor((SecretStr("correct-horse"),)))


@pytest.fixture
def trail(control: AccessControl) -> Trail:
    return control.trail(ALICE, "start_upgrade", new_call_id())


async def events(audit: AuditTable, **wanted: Any) -> list[Event]:
    return [entry.event for entry in await audit.read(AuditFilter(**wanted))]


async def test_lines_come_back_as_they_were_written_oldest_first(
    trail: Trail, audit: AuditTable, clock: FakeClock
) -> None:
    await trail.write(Event.ASKED, '{"testbed": "AT16"}')
    clock.time += 5
    await trail.write(Event.CONFIRMED, "by code", action=Action.UPGRADE, testbed="AT16")
    assert await audit.read(AuditFilter()) == (
        AuditEntry(
            clock.time - 5, trail.call, "local:alice", "chat-1", "start_upgrade", Event.ASKED, None, "",
            '{"testbed": "AT16"}',
        ),
        AuditEntry(
            clock.time, trail.call, "local:alice", "chat-1", "start_upgrade", Event.CONFIRMED, Action.UPGRADE, "AT16",
            "by code",
        ),
    )  # fmt: skip


async def test_lines_can_be_narrowed(trail: Trail, audit: AuditTable, clock: FakeClock) -> None:
    await trail.write(Event.ASKED)
    await trail.write(Event.SHOWN, testbed="AT16")
    clock.time += 10
    await trail.write(Event.OUTCOME)
    assert await events(audit, testbed="AT16") == [Event.SHOWN]
    assert await events(audit, since=clock.time) == [Event.OUTCOME]
    assert await events(audit, limit=2) == [Event.SHOWN, Event.OUTCOME]
    assert await events(audit, principal="local:bob") == []


async def test_secrets_and_what_is_too_long_are_left_out(trail: Trail, audit: AuditTable) -> None:
    await trail.write(Event.ASKED, "password correct-horse " + "x" * 10_000)
    (entry,) = await audit.read(AuditFilter())
    assert "correct-horse" not in entry.detail
    assert len(entry.detail) <= DETAIL_MAX_CHARACTERS


@pytest.mark.parametrize("statement", ["UPDATE audit SET detail = ''", "DELETE FROM audit"])
async def test_no_line_can_be_changed_or_dropped(
    trail: Trail, audit: AuditTable, store: Storage, statement: str
) -> None:
    await trail.write(Event.ASKED, "kept")
    with pytest.raises(StoreError, match="can only be appended to"):
        await store.watches._database.write(lambda db: db.execute(statement))
    assert [entry.detail for entry in await audit.read(AuditFilter())] == ["kept"]


async def test_a_budget_is_never_exceeded_by_calls_at_once(trail: Trail, audit: AuditTable, clock: FakeClock) -> None:
    outcomes = await asyncio.gather(
        *(trail.spend(Action.UPGRADE, "AT16", "upgrade") for _ in range(6)), return_exceptions=True
    )
    assert sum(outcome is None for outcome in outcomes) == 2
    assert all(outcome is None or isinstance(outcome, PolicyError) for outcome in outcomes)
    await trail.spend(Action.RUN, "AT16", "run")
    assert len(await events(audit)) == 3
    clock.time += DAY_SECONDS
    await trail.spend(Action.UPGRADE, "AT16", "upgrade")


async def test_one_principals_budget_is_not_anothers(control: AccessControl, trail: Trail) -> None:
    for _ in range(2):
        await trail.spend(Action.UPGRADE, "AT16", "upgrade")
    await control.trail(Owner("local:bob", "chat-1", exact=True), "start_upgrade", "a_2").spend(
        Action.UPGRADE, "AT16", "upgrade"
    )


async def test_an_outcome_that_cannot_be_written_is_said_in_the_servers_log(
    trail: Trail, store: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    await store.close()
    with caplog.at_level(logging.WARNING):
        await trail.write_if_possible(Event.OUTCOME, "done")
    assert "The audit log lacks the outcome of start_upgrade" in caplog.text
    with pytest.raises(StoreError):
        await trail.write(Event.ASKED)
