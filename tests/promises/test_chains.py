"""Chains keep promises 1 to 3: no step is lost, none is sent twice, through killed servers and shared stores."""

import asyncio
import contextlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client

from tests.promises import test_killed_server as killed
from tests.support.patience import PATIENCE_SECONDS
from tests.support.process import LAB
from tests.support.recorded import TEST, House, open_house
from tp_mcp.storage.opening import open_storage
from tp_mcp.watch.model.watch import Watch, WatchState

pytestmark = pytest.mark.slow

RUN = "POST /adc/automation/pytest/"
AGAIN: dict[str, Any] = {"tool": "run_pytest", "args": {"lab": "{args.lab}", "testcase": "{args.testcase}"}}
QUICK_TEST = "Tests_CLI/test_system.py"
setup = killed.setup


@pytest.fixture
def house(tmp_path: Path) -> House:
    return open_house(tmp_path)


class DyingStarter:
    """Is asked to start what follows, and is never heard of again."""

    async def start(self, parent: Watch) -> None:  # noqa: ARG002 -- as the port has it
        await anyio.sleep_forever()


async def test_a_process_that_dies_between_the_end_and_the_chained_start_loses_no_step(house: House) -> None:
    async with house.process() as process:
        process.chains.use(DyingStarter())
        await process.call("run_pytest", lab=LAB, testcase=[TEST], on_done=AGAIN)
        await house.advance(5)
        house.tp.end(446)
        # It would wait for the start that never ends.
        with anyio.move_on_after(0):
            await house.advance(60)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await process.store.pending("http://tp.example:8000"):
                await asyncio.sleep(0)
        assert house.tp.count(RUN) == 1
    async with house.process() as process:
        await house.advance(5)
        assert house.tp.count(RUN) == 2
        house.tp.end(447)
        await house.advance(60)
        assert {(watch.job, watch.state) for watch in await process.watches()} == {
            ("execution:446", WatchState.DONE),
            ("execution:447", WatchState.DONE),
        }
    async with house.process():
        await house.advance(60)
        assert house.tp.count(RUN) == 2


async def test_two_processes_that_both_see_the_end_start_what_follows_once(house: House) -> None:
    async with house.process() as first, house.process() as second:
        await first.call("run_pytest", lab=LAB, testcase=[TEST], on_done=AGAIN)
        await second.services.watches.registry.resume()
        await house.advance(5)
        house.tp.end(446)
        await house.advance(60)
        await second.chains.look()
        await house.advance(60)
        assert house.tp.count(RUN) == 2
        step = await first.store.get((await first.watches())[0].id)
        assert step is not None
        assert step.state is WatchState.ACTIVE


async def accepted_runs(setup: killed.Setup) -> int:
    async with httpx2.AsyncClient(base_url=setup.base_url) as client:
        rows = (await client.get("/_sim/record")).json()["accepted"]
    return sum(1 for row in rows if row["endpoint"] == "start_pytest")


async def start_chain(client: Client) -> tuple[str, str]:
    started = await killed.call(client, "run_pytest", lab=LAB, testcase=[QUICK_TEST], on_done=AGAIN)
    first, second = dict.fromkeys(re.findall(r"\[(w_\w{8})\]", started))
    return first, second


async def wait_until_told(client: Client, watch_id: str) -> str:
    """Go on with something else until the end of a watch arrives by itself."""
    told = ""
    with anyio.move_on_after(PATIENCE_SECONDS):
        while f"[{watch_id}]" not in (told := await killed.call(client, "list_labs")):
            await anyio.sleep(0.5)
    assert f"[{watch_id}]" in told, await killed.call(client, "list_watches")
    return told


async def test_a_server_killed_between_the_end_and_the_chained_start_sends_it_once_at_the_next_start(
    setup: killed.Setup,
) -> None:
    state = setup.directory / "state"
    second = ""
    with contextlib.suppress(BaseExceptionGroup, Exception):
        async with Client(setup.server()) as client:
            _, second = await start_chain(client)
            # The chained start asks which labs there are before it sends anything.
            slow = {"endpoint": "list_labs", "kind": "delay", "delay_seconds": 60}
            async with httpx2.AsyncClient(base_url=setup.base_url) as control:
                (await control.post("/_sim/faults", json=slow)).raise_for_status()
            store = (await open_storage(state)).watches
            try:
                with anyio.fail_after(PATIENCE_SECONDS):
                    while not await store.pending(setup.base_url):
                        await anyio.sleep(0.05)
            finally:
                await store.close()
            setup.kill_server()
    assert second
    assert await accepted_runs(setup) == 1
    async with httpx2.AsyncClient(base_url=setup.base_url) as control:
        (await control.delete("/_sim/faults")).raise_for_status()

    async with Client(setup.server()) as client:
        told = await wait_until_told(client, second)
    assert "Step 2 of 2, the last of its chain." in told
    assert await accepted_runs(setup) == 2


async def test_two_servers_on_one_store_send_the_chained_start_once(setup: killed.Setup) -> None:
    other = replace(setup, directory=setup.directory / "other")
    other.directory.mkdir()
    second_server = other.server()
    assert second_server.env is not None
    second_server.env["TP_MCP_STATE_DIR"] = str(setup.directory / "state")
    async with Client(setup.server()) as first:
        _, step = await start_chain(first)
        # It opens later, so that it takes the same watch up and sees the same end.
        async with Client(second_server) as second:
            # A call that names no watch: an end that was listed by name would count as seen.
            told = await wait_until_told(second, step)
            assert "is done" in told
    assert await accepted_runs(setup) == 2
