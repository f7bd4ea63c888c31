"""A code confirms one plan, once, within its time, for whom it was given."""

import asyncio
import sqlite3
from dataclasses import replace

import pytest

from tests.access.test_proposal import PROPOSAL
from tests.support.clock import FakeClock
from tp_mcp.access.confirmations import CODE_SECONDS, Confirmations
from tp_mcp.errors import ConfirmationError
from tp_mcp.storage.access import FORGOTTEN_AFTER_SECONDS
from tp_mcp.storage.opening import Storage
from tp_mcp.watch.model.watch import Owner

ALICE = Owner("local:alice", "chat-1", exact=True)


async def test_a_code_can_be_used_once(confirmations: Confirmations) -> None:
    code = await confirmations.ask(ALICE, PROPOSAL, by_person=False)
    await confirmations.redeem(code, ALICE, PROPOSAL, by_person=False)
    with pytest.raises(ConfirmationError, match="used already"):
        await confirmations.redeem(code, ALICE, PROPOSAL, by_person=False)


async def test_of_two_calls_at_once_one_may_use_it(confirmations: Confirmations) -> None:
    code = await confirmations.ask(ALICE, PROPOSAL, by_person=False)
    outcomes = await asyncio.gather(
        *(confirmations.redeem(code, ALICE, PROPOSAL, by_person=False) for _ in range(8)), return_exceptions=True
    )
    assert sum(outcome is None for outcome in outcomes) == 1
    assert all(outcome is None or isinstance(outcome, ConfirmationError) for outcome in outcomes)


@pytest.mark.parametrize(
    "other",
    [replace(ALICE, principal="local:mallory"), replace(ALICE, conversation="chat-2")],
    ids=["another principal", "another conversation"],
)
async def test_it_is_no_good_for_anybody_else_and_they_learn_nothing_of_it(
    confirmations: Confirmations, other: Owner
) -> None:
    code = await confirmations.ask(ALICE, PROPOSAL, by_person=False)
    with pytest.raises(ConfirmationError) as theirs:
        await confirmations.redeem(code, other, PROPOSAL, by_person=False)
    with pytest.raises(ConfirmationError) as made_up:
        await confirmations.redeem("c_000000000000", other, PROPOSAL, by_person=False)
    assert str(theirs.value) == str(made_up.value)
    await confirmations.redeem(code, ALICE, PROPOSAL, by_person=False)


async def test_it_expires(confirmations: Confirmations, clock: FakeClock) -> None:
    code = await confirmations.ask(ALICE, PROPOSAL, by_person=False)
    clock.time += CODE_SECONDS
    with pytest.raises(ConfirmationError, match="older than 5 min"):
        await confirmations.redeem(code, ALICE, PROPOSAL, by_person=False)


async def test_it_is_no_good_for_a_plan_that_changed_and_says_what_did(confirmations: Confirmations) -> None:
    code = await confirmations.ask(ALICE, PROPOSAL, by_person=False)
    with pytest.raises(ConfirmationError, match="Executions going on there: 445, 447"):
        await confirmations.redeem(code, ALICE, replace(PROPOSAL, executions=(445, 447)), by_person=False)
    with pytest.raises(ConfirmationError, match="something that was there is gone"):
        await confirmations.redeem(code, ALICE, replace(PROPOSAL, users=()), by_person=False)
    await confirmations.redeem(code, ALICE, PROPOSAL, by_person=False)


async def test_for_a_protected_testbed_a_person_has_to_approve_it_first(confirmations: Confirmations) -> None:
    code = await confirmations.ask(ALICE, PROPOSAL, by_person=True)
    with pytest.raises(ConfirmationError, match="it concerns a protected testbed") as refused:
        await confirmations.redeem(code, ALICE, PROPOSAL, by_person=False)
    assert f"tp-mcp approve {code}" in refused.value.remedy
    await confirmations.approve(code)
    with pytest.raises(ConfirmationError, match="already approved"):
        await confirmations.approve(code)
    await confirmations.redeem(code, ALICE, PROPOSAL, by_person=False)


async def test_the_users_own_answer_counts_as_a_persons(confirmations: Confirmations) -> None:
    code = await confirmations.ask(ALICE, PROPOSAL, by_person=True)
    await confirmations.redeem(code, ALICE, PROPOSAL, by_person=False, user_answered=True)


async def test_what_is_used_expired_or_made_up_cannot_be_approved(
    confirmations: Confirmations, clock: FakeClock
) -> None:
    used = await confirmations.ask(ALICE, PROPOSAL, by_person=False)
    await confirmations.redeem(used, ALICE, PROPOSAL, by_person=False)
    old = await confirmations.ask(ALICE, PROPOSAL, by_person=True)
    clock.time += CODE_SECONDS
    for code in (used, old, "c_made_up"):
        with pytest.raises(ConfirmationError, match="No question waits for this code"):
            await confirmations.approve(code)


async def test_of_two_people_one_approves(confirmations: Confirmations) -> None:
    code = await confirmations.ask(ALICE, PROPOSAL, by_person=True)
    outcomes = await asyncio.gather(*(confirmations.approve(code) for _ in range(4)), return_exceptions=True)
    assert sum(outcome is None for outcome in outcomes) == 1


async def test_the_code_itself_is_not_kept_and_old_questions_are_dropped(
    confirmations: Confirmations, clock: FakeClock, store: Storage
) -> None:
    code = await confirmations.ask(ALICE, PROPOSAL, by_person=False)

    def rows(db: sqlite3.Connection) -> list[tuple[object, ...]]:
        return [tuple(row) for row in db.execute("SELECT * FROM confirmations")]

    (kept,) = await store.watches._database.run(rows)
    assert code not in str(kept)
    clock.time += FORGOTTEN_AFTER_SECONDS + CODE_SECONDS
    await confirmations.ask(ALICE, PROPOSAL, by_person=False)
    assert len(await store.watches._database.run(rows)) == 1


async def test_a_code_given_before_a_testbed_was_protected_needs_a_person_now(confirmations: Confirmations) -> None:
    code = await confirmations.ask(ALICE, PROPOSAL, by_person=False)
    with pytest.raises(ConfirmationError, match="it concerns a protected testbed"):
        await confirmations.redeem(code, ALICE, PROPOSAL, by_person=True)
    await confirmations.approve(code)
    await confirmations.redeem(code, ALICE, PROPOSAL, by_person=True)
