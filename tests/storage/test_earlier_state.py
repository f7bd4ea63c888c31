"""A state directory that the version before wrote: everything in it is found, and its live watches go on.

`fixtures/make_earlier_state.py` says how it was made.
"""

import os
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.support.process import ALICE, BASE_URL, LAB
from tests.support.recorded import TEST, House, open_house
from tp_mcp.access.audit_log import AuditFilter, Event
from tp_mcp.access.policy import Action
from tp_mcp.storage.opening import open_storage
from tp_mcp.watch.delivery.tasks import TaskState
from tp_mcp.watch.model.watch import WatchState

EARLIER_STATE = Path(__file__).parent / "fixtures" / "earlier_state"
WRITTEN_AT = 1_780_000_195.0
OTHER_TESTBED = "AT17_Combined_FSW"
SEEN = "w_wp3b8yc0"
UNSEEN = "w_y796tnse"
UPGRADE = "w_sz24aw1m"
RUN = "w_94p21jy0"
TASK = "t_OMotrU8Ox17jOjdo0OXhhrLQ40zohW8L"
RESULT = "r_45t7ssyxj301gyvx"
START_RUN = "POST /adc/automation/pytest/"


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Return a TP on which the jobs of the live watches go on, over a copy of the directory."""
    house = open_house(tmp_path)
    shutil.copytree(EARLIER_STATE, house.state)
    for path in house.state.rglob("*"):
        os.utime(path, (WRITTEN_AT, WRITTEN_AT))  # a checkout gives files the time of the checkout
    house.clock.time = WRITTEN_AT
    for exec_id, lab, status in ((446, LAB, "Done"), (447, LAB, "Done"), (448, OTHER_TESTBED, "Running")):
        assert house.tp.run(status, lab=lab) == exec_id
    house.tp.upgrade = upgrade("PROGRESS", WRITTEN_AT)
    return house


def upgrade(status: str, at: float) -> dict[str, Any]:
    device = {"ip": "10.0.0.1", "status": status, "last_task_type": "build", "last_build_number": "1234"}
    updated = datetime.fromtimestamp(at, UTC).isoformat()
    return {
        "testbed": LAB,
        "status": status,
        "target_ips": ["10.0.0.1"],
        "per_device": [{**device, "updated_at": updated}],
    }


def ends_of(house: House, watch_id: str) -> int:
    with closing(sqlite3.connect(house.state / "watches.sqlite3")) as db:
        return int(db.execute("SELECT count(*) FROM inbox WHERE watch_id = ?", (watch_id,)).fetchone()[0])


async def shown_until_none(house: House) -> list[tuple[str, ...]]:
    """Call a tool until it reports no end any more; return the ends that each call reported."""
    async with house.process() as process:
        shown = [(await process.call("list_labs"))[1]]
        while shown[-1]:
            shown.append((await process.call("list_labs"))[1])
    return shown


async def test_its_watches_are_found_in_their_states(house: House) -> None:
    async with house.process() as process:
        watches = {watch.id: watch for watch in await process.watches()}
        assert {watch_id: watch.state for watch_id, watch in watches.items()} == {
            SEEN: WatchState.DONE,
            UNSEEN: WatchState.DONE,
            UPGRADE: WatchState.ACTIVE,
            RUN: WatchState.ACTIVE,
        }
        assert watches[UPGRADE].chain is not None
        assert watches[RUN].job == "execution:448"
        assert [(watches[each].kind, watches[each].testbed) for each in (UPGRADE, RUN)] == [
            ("upgrade", LAB),
            ("execution", OTHER_TESTBED),
        ]
        assert {delivery.channel for delivery in await process.store.deliveries([RUN])} == {"webhook:ci"}
        assert [lease.target for lease in await process.store.leases(BASE_URL)] == ["a target"]
        assert (await process.store.usual(BASE_URL, watches[SEEN].spec.history)) is None, "two runs say too little"


async def test_an_end_that_nobody_has_seen_is_shown_and_one_that_was_seen_is_not(house: House) -> None:
    assert await shown_until_none(house) == [(UNSEEN,), ()], "it was shown once before"


async def test_the_run_that_is_under_way_ends_and_its_end_is_delivered_once(house: House) -> None:
    async with house.process() as process:
        await house.advance(5)
        house.tp.end(448, passed=2, failed=1)
        await house.advance(60)
        run = await process.store.get(RUN)
        assert run is not None
        assert run.state is WatchState.DONE
        assert run.outcome == "failed"
    assert await shown_until_none(house) == [(RUN, UNSEEN), (RUN,), ()]
    assert ends_of(house, RUN) == 1
    async with house.process():
        await house.advance(600)
    assert ends_of(house, RUN) == 1


async def test_the_upgrade_that_is_under_way_ends_and_the_next_step_of_its_chain_is_started_once(house: House) -> None:
    async with house.process() as process:
        await house.advance(5)
        house.tp.upgrade = upgrade("SUCCESS", house.clock.now())
        house.tp.end(448)
        await house.advance(120)
        ended = await process.store.get(UPGRADE)
        assert ended is not None
        assert ended.state is WatchState.DONE
        assert house.tp.count(START_RUN) == 1
        house.tp.end(449)
        await house.advance(60)
    async with house.process() as process:
        await house.advance(60)
        step = next(watch for watch in await process.watches() if watch.job == "execution:449")
        assert step.chain is not None
        assert (step.chain.parent, step.state) == (UPGRADE, WatchState.DONE)
    assert house.tp.count(START_RUN) == 1
    assert ends_of(house, UPGRADE) == 1


async def test_its_task_and_its_webhook_event_are_found(house: House) -> None:
    async with house.process() as process:
        task = await process.services.watches.tasks.get(TASK, ALICE)
        assert task is not None
        assert (task.watch_ids, task.state) == ((RUN,), TaskState.WORKING)
        event = await process.storage.outbox.claim("ci", now=house.clock.now(), until=house.clock.now() + 60)
        assert event is not None
        assert (event.watch_id, event.body) == (RUN, '{"watch": "under way"}')


async def test_its_confirmations_tokens_logins_and_audit_entries_are_found(house: House) -> None:
    async with house.process() as process:
        access = process.services.access
        waiting = await access.confirmations.waiting("a code")
        assert (waiting.testbed, waiting.plan) == (LAB, (f"Upgrade of {LAB}",))
        token = await access.tokens.principal(SecretStr("tpm_a_token"))
        assert token is not None
        assert (token.name, token.principal) == ("laptop", "token:alice")
        entries = await access.audit.read(AuditFilter(since=0.0))
        sent = [entry.action for entry in entries if entry.event is Event.SENDING]
        assert sent == [Action.RUN, Action.RUN, Action.UPGRADE, Action.RUN]
        login = await process.storage.credentials.get(BASE_URL, ALICE.principal)
        assert login is not None
        assert (login.username, login.sealed) == ("alice", b"sealed")


async def test_its_stored_result_and_its_kept_log_are_found_by_their_owner_only(house: House) -> None:
    async with house.process() as process:
        stored = await process.services.results.stored.get(ALICE.principal, RESULT)
        assert (stored.what, stored.text) == ("a list of labs", "the whole of a result\n" * 50)
        log = await process.services.results.logs.get(446)
        assert log is not None
        assert log.text.splitlines()[-1] == "line 199"
        assert await process.services.results.logs.admits(446, ALICE.principal)
        assert not await process.services.results.logs.admits(446, "local:bob")


async def test_its_history_is_found(house: House) -> None:
    async with await open_storage(house.state, clock=house.clock) as storage:
        history = storage.history
        past = await history.one(BASE_URL, 446, ALICE.principal)
        assert past is not None
        assert (past.build, past.outcomes) == ("1233", {TEST: "passed"})
        assert await history.build_at(BASE_URL, LAB, WRITTEN_AT) == "1233"
        assert [note.text for note in await history.notes(ALICE.principal, BASE_URL)] == ["A flaky cable."]
        assert await history.rerun_of(BASE_URL, SEEN) == 445
