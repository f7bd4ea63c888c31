"""Promise 3: an end and its inbox entry are one, and are reported under one id until the conversation has seen them."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.support.process import ALICE, LAB
from tests.support.recorded import TEST, House, open_house
from tp_mcp.errors import TpBusyError, WatchLimitError
from tp_mcp.storage import watches as store_module
from tp_mcp.storage.opening import STORE_FILE
from tp_mcp.watch.model.idempotency import REPEAT_SECONDS
from tp_mcp.watch.model.watch import Owner, WatchState

RUN_IT: dict[str, Any] = {"lab": LAB, "testcase": [TEST]}
SHARED = Owner("local:alice", "project:/home/alice", exact=False)
OTHER = Owner("local:alice", "environment:two", exact=True)
DAY = 24 * 3600.0


@pytest.fixture
def house(tmp_path: Path) -> House:
    return open_house(tmp_path)


async def ended(house: House, owner: Owner = ALICE) -> str:
    """Let a run begin and end; return its watch's id."""
    async with house.process() as process:
        await process.call("run_pytest", owner=owner, **RUN_IT)
        house.tp.end(max(house.tp.executions))
        # Until the same call no longer counts as a repetition.
        await house.advance(31 + REPEAT_SECONDS)
        return (await process.watches())[0].id


async def test_an_end_is_reported_by_every_new_process_until_it_was_seen(house: House) -> None:
    watch_id = await ended(house)
    for _ in range(5):
        async with house.process() as process:
            assert (await process.call("list_labs"))[1] == (watch_id,)
    async with house.process() as process:
        shown = [(await process.call("list_labs"))[1] for _ in range(5)]
    assert shown == [(watch_id,), (watch_id,), (), (), ()]


async def test_an_end_belongs_to_the_conversation_that_asked(house: House) -> None:
    watch_id = await ended(house)
    async with house.process() as process:
        for _ in range(4):
            text, shown = await process.call("wait_for_watch", owner=OTHER, watch_id=watch_id)
            assert shown == ()
            assert watch_id in text
        assert (await process.call("list_labs"))[1] == (watch_id,)


async def test_waiting_for_an_end_that_was_shown_lets_it_count_as_seen(house: House) -> None:
    watch_id = await ended(house, SHARED)
    async with house.process() as process:
        for _ in range(4):
            assert (await process.call("list_labs", owner=SHARED))[1] == (watch_id,)
        text, shown = await process.call("wait_for_watch", owner=SHARED, watch_id=watch_id)
        assert shown == ()
        assert text.startswith(f"[{watch_id}]")
        assert (await process.call("list_labs", owner=SHARED))[1] == ()


async def test_two_processes_that_see_the_same_end_report_it_once(house: House) -> None:
    async with house.process() as one:
        await one.call("run_pytest", **RUN_IT)
        async with house.process() as two:
            await house.advance(20)
            house.tp.end(446)
            await house.advance(40)
            entries = [entry.watch_id for entry in await two.store.unseen(ALICE)]
            assert entries == [watch.id for watch in await one.watches()]
            assert len(entries) == 1


async def test_at_any_moment_of_its_writing_an_end_has_its_entry(house: House) -> None:
    await ended(house)
    db = sqlite3.connect(house.state / STORE_FILE)
    without = "SELECT count(*) FROM watches WHERE ended_at IS NOT NULL AND id NOT IN (SELECT watch_id FROM inbox)"
    assert db.execute(without).fetchone() == (0,)
    db.execute("DELETE FROM inbox")
    db.execute("UPDATE watches SET state = 'active', ended_at = NULL")
    # Stands for a process that is killed between the two writes: the second one is never made.
    db.execute("CREATE TRIGGER killed BEFORE INSERT ON inbox BEGIN SELECT RAISE(ABORT, 'killed'); END")
    db.commit()
    async with house.process() as process:
        await house.advance(60)
        assert db.execute("SELECT state FROM watches").fetchone() == ("active",)
        db.execute("DROP TRIGGER killed")
        db.commit()
        await house.advance(60)
        assert [watch.state for watch in await process.watches()] == [WatchState.DONE]
        assert db.execute(without).fetchone() == (0,)
    db.close()


async def test_an_unseen_end_lives_thirty_days_and_a_seen_one_need_not(house: House) -> None:
    watch_id = await ended(house)
    for days in (1, 13, 15, 29.9):
        house.clock.time = 1_780_000_000.0 + days * DAY
        async with house.process() as process:
            assert [entry.watch_id for entry in await process.store.unseen(ALICE)] == [watch_id]
    house.clock.time = 1_780_000_000.0 + 31 * DAY
    async with house.process() as process:
        assert await process.watches() == ()


async def test_a_full_store_refuses_new_watches_before_it_drops_an_unseen_end(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MAX_UNSEEN_ENDS", 3)
    ids = [await ended(house) for _ in range(3)]
    async with house.process() as process:
        sent = house.tp.count("POST /adc/automation/pytest/")
        with pytest.raises(WatchLimitError, match="nobody has looked at"):
            await process.call("run_pytest", **RUN_IT)
        assert house.tp.count("POST /adc/automation/pytest/") == sent
        assert sorted((await process.call("list_labs"))[1]) == sorted(ids)
        await process.call("list_labs")
        await process.call("list_labs")
        await process.call("run_pytest", **RUN_IT)


async def test_a_refusal_that_its_caller_was_told_is_not_reported_again(house: House) -> None:
    house.tp.run()
    async with house.process() as process:
        with pytest.raises(TpBusyError, match="in flight"):
            await process.call("run_pytest", **RUN_IT)
        assert (await process.call("list_labs"))[1] == ()


async def test_a_refusal_whose_result_may_not_have_arrived_is_reported_by_the_next_process(house: House) -> None:
    house.tp.run()
    async with house.process() as process:
        with pytest.raises(TpBusyError, match="in flight"):
            await process.call("run_pytest", **RUN_IT)
        [refused] = [each.id for each in await process.watches()]
    async with house.process() as process:
        assert (await process.call("list_labs"))[1] == (refused,)
