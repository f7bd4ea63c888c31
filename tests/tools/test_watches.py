import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.support.patience import PATIENCE_SECONDS
from tests.support.process import ALICE, BASE_URL, LAB
from tests.support.world import World
from tp_mcp.watch.model.watch import Owner, Watch
from tp_mcp.watch.registry import LIST_LIMIT

BUILD: dict[str, Any] = {"testbed": LAB, "mode": "build", "build_number": "6955"}
BOB = Owner("local:bob", "environment:one", exact=True)
OTHER_CHAT = replace(ALICE, conversation="environment:two")


async def started_upgrade(world: World, owner: Owner = ALICE) -> str:
    return (await world.call("start_upgrade", owner=owner, **BUILD))[1:11]


async def waited(world: World, watch_id: str, seconds: float) -> str:
    """Wait for a watch while the time goes by, second by second, and return what the wait says."""
    waiting = asyncio.create_task(world.call("wait_for_watch", watch_id=watch_id, max_wait_seconds=seconds))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not world.told:
            await asyncio.sleep(0)
        while not waiting.done():
            # Whoever waits gets to see each second before the next one begins.
            await world.settle()
            await world.advance(1)
    return await waiting


async def test_no_watch_at_all_is_told_with_where_else_to_look(world: World) -> None:
    text = await world.call("list_watches")
    assert text == (
        "There is no watch in this conversation.\n\n"
        "list_watches(all_conversations=true) shows those of your other conversations too."
    )
    assert (await world.call("list_watches", state="active")).startswith("There is no active watch in this")
    assert await world.call("list_watches", all_conversations=True) == "There is no watch in all your conversations."


async def test_watches_are_listed_newest_first_each_with_the_call_that_goes_on(world: World) -> None:
    upgrade = await started_upgrade(world)
    run = (await world.call("run_pytest", lab="AT33_New_NAC", testcase=["Tests_CLI"]))[1:11]
    text = await world.call("list_watches")
    assert text.startswith("2 watches in this conversation; 2 going on.\n\nNewest first:\n- [w_")
    assert f'(started, not polled yet, 0 s): wait_for_watch(watch_id="{upgrade}")' in text
    assert text.endswith(" waits for the newest.")
    await world.advance(400)
    text = await world.call("list_watches", state="ended")
    assert text.startswith("1 watch in this conversation; 0 going on.")
    assert f"- [{upgrade}] upgrade of {LAB} to build 6955 is done (" in text
    assert text.endswith(f'get_upgrade(testbed="{LAB}")')
    text = await world.call("list_watches", state="active")
    assert run in text
    assert upgrade not in text


async def test_watches_of_other_conversations_are_listed_only_when_asked_for(world: World) -> None:
    await started_upgrade(world, OTHER_CHAT)
    assert (await world.call("list_watches")).startswith("There is no watch in this conversation.")
    text = await world.call("list_watches", all_conversations=True)
    assert text.startswith("1 watch in all your conversations; 1 going on.")


async def test_watches_of_another_principal_are_never_listed_or_found(world: World) -> None:
    watch_id = await started_upgrade(world)
    assert "no watch" in await world.call("list_watches", owner=BOB, all_conversations=True)
    unknown = await world.refused("wait_for_watch", owner=BOB, watch_id="w_00000000")
    foreign = await world.refused("wait_for_watch", owner=BOB, watch_id=watch_id)
    assert foreign == unknown.replace("w_00000000", watch_id)
    assert foreign == await world.refused("cancel_watch", owner=BOB, watch_id=watch_id)
    assert "list_watches shows" in foreign


async def test_a_list_that_reaches_its_limit_says_that_there_may_be_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = await world.services.watches.registry.get(await started_upgrade(world), ALICE)

    async def many(*_: object, **__: object) -> tuple[Watch, ...]:
        return (watch,) * LIST_LIMIT

    monkeypatch.setattr(world.services.watches.registry, "list", many)
    text = await world.call("list_watches")
    assert text.startswith("200 watches in this conversation; 200 going on. These are the newest 200; older ones")


async def test_a_wait_returns_when_the_job_ends(world: World) -> None:
    watch_id = await started_upgrade(world)
    text = await waited(world, watch_id, 240)
    assert text.startswith(f"[{watch_id}] upgrade of {LAB} to build 6955 is done, after ")
    assert text.endswith(f'Tests can run on it now: run_pytest(lab="{LAB}", testcase=["..."]).')


async def test_a_wait_that_runs_out_is_a_normal_answer_that_says_how_it_stands(world: World) -> None:
    watch_id = await started_upgrade(world)
    text = await waited(world, watch_id, 45)
    assert text.startswith(
        f"[{watch_id}] upgrade of {LAB} to build 6955 is under way. Not finished after waiting 45 s.\n\n"
        "Now: 10.15.52.152 PROGRESS, "
    )
    assert "An upgrade usually takes 2 to 15 minutes." in text
    assert "Last sign of life: " in text
    assert "Do not start it again." in text
    assert text.endswith(f'wait_for_watch(watch_id="{watch_id}") goes on waiting.')


async def test_a_wait_tells_at_once_and_every_ten_seconds_and_of_each_poll(world: World) -> None:
    watch_id = await started_upgrade(world)
    await waited(world, watch_id, 12)
    assert [watch.id for watch in world.told] == [watch_id] * len(world.told)
    assert world.told[0].polled_at is None
    assert 2 <= len(world.told) <= 4


async def test_a_wait_of_no_time_only_looks(world: World) -> None:
    watch_id = await started_upgrade(world)
    text = await world.call("wait_for_watch", watch_id=watch_id, max_wait_seconds=0)
    assert text.startswith(f"[{watch_id}] upgrade of {LAB} to build 6955 is under way.\n")
    assert "TP is asked every 15 s." in text


async def test_a_run_that_goes_on_is_told_without_the_words_for_upgrades(world: World) -> None:
    started = await world.call("run_pytest", lab=LAB, testcase=["Tests_CLI"])
    text = await world.call("wait_for_watch", watch_id=started[1:11], max_wait_seconds=0)
    assert "is under way" in text
    assert "usually" not in text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"watch_id": "446"}, 'watch_id is "446", but must be like "w_7k3m9q2d"'),
        ({"watch_id": 446}, 'watch_id is 446, but must be like "w_7k3m9q2d"'),
        ({"watch_id": ["w_00000000", 1]}, 'watch_id is ["w_00000000", 1], but must be like "w_7k3m9q2d"'),
        ({"watch_id": []}, "watch_id has 0 items, but must have at least 1"),
        ({"watch_id": ["w_00000000"] * 21}, "watch_id has 21 items, but must have at most 20"),
        ({"watch_id": "w_00000000", "until": "done"}, 'until is "done", but must be '),
        ({"watch_id": "w_00000000", "max_wait_seconds": 241}, "max_wait_seconds is 241, but must be at most 240"),
        ({"watch_id": "w_00000000", "max_wait_seconds": -1}, "max_wait_seconds is -1, but must be at least 0"),
        ({"watch": "w_00000000"}, "there is no argument watch (did you mean watch_id?)"),
    ],
)
async def test_a_wrong_wait_is_refused_with_what_would_be_right(
    world: World, fields: dict[str, Any], words: str
) -> None:
    assert words in await world.refused("wait_for_watch", **fields)


async def test_cancelling_a_watch_leaves_the_upgrade_alone_and_says_so(world: World) -> None:
    watch_id = await started_upgrade(world)
    text = await world.call("cancel_watch", watch_id=watch_id)
    assert text == (
        f"[{watch_id}] upgrade of {LAB} to build 6955 is no longer watched. The job goes on, and its end will "
        "not be reported.\n\nThe upgrade itself cannot be cancelled."
    )
    assert world.written == ["start_upgrade"]
    await world.advance(400)
    assert world.asked.count("get_upgrade") == 1


async def test_cancelling_the_watch_of_a_run_says_how_to_end_the_run(world: World) -> None:
    started = await world.call("run_pytest", lab=LAB, testcase=["Tests_CLI"])
    text = await world.call("cancel_watch", watch_id=started[1:11])
    assert text.endswith("cancel_execution(exec_id=446) would end the run itself.")
    assert "start_watch(" in await world.call("get_execution", exec_id=446)


async def test_cancelling_a_watch_of_labs_has_no_next_step(world: World) -> None:
    match = {"path": "[0].status", "equals": "Gone"}
    started = await world.call("start_watch", tool="list_labs", done_match=match)
    text = await world.call("cancel_watch", watch_id=started[1:11])
    assert text.endswith("its end will not be reported.")


async def test_cancelling_a_watch_that_has_ended_tells_its_end(world: World) -> None:
    watch_id = await started_upgrade(world)
    await world.advance(400)
    text = await world.call("cancel_watch", watch_id=watch_id)
    assert text.startswith(f"[{watch_id}] had ended already; nothing was cancelled.\n\n[{watch_id}] upgrade of {LAB}")
    assert "Tests can run on it now" in text


async def test_a_watch_that_ends_while_it_is_cancelled_tells_its_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch_id = await started_upgrade(world)
    cancel = world.services.watches.registry.cancel

    async def a_moment_too_late(*arguments: object, **named: object) -> Watch:
        await world.advance(400)
        return await cancel(*arguments, **named)  # type: ignore[arg-type] # handed through

    monkeypatch.setattr(world.services.watches.registry, "cancel", a_moment_too_late)
    text = await world.call("cancel_watch", watch_id=watch_id)
    assert text.startswith(f"[{watch_id}] upgrade of {LAB} to build 6955 is done")


@pytest.fixture
async def of_another_tp(world: World, monkeypatch: pytest.MonkeyPatch) -> str:
    """A watch of a TP that this server was configured for before."""
    watch_id = (await world.call("run_pytest", lab=LAB, testcase=["Tests_CLI/test_poe.py"]))[1:11]
    monkeypatch.setattr(world.services.watches.registry, "_server", "http://the-tp-of-today")
    return watch_id


async def test_a_watch_of_another_tp_is_told_as_such_and_not_waited_for(world: World, of_another_tp: str) -> None:
    text = await world.call("wait_for_watch", watch_id=of_another_tp, max_wait_seconds=240)
    assert f"belongs to the TP at {BASE_URL}, which this server does not poll" in text
    assert "is watched in the background" not in text


async def test_no_call_is_offered_that_would_reach_another_job_on_the_tp_of_today(
    world: World, of_another_tp: str
) -> None:
    listed = await world.call("list_watches")
    assert f"(on the TP at {BASE_URL}, which this server does not poll)" in listed
    assert "wait_for_watch(" not in listed
    cancelled = await world.call("cancel_watch", watch_id=of_another_tp)
    assert f"It belongs to the TP at {BASE_URL}." in cancelled
    assert "cancel_execution" not in cancelled
