"""Real clients and real servers: a client that goes and comes back, and two chats on one project directory."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.types import TextContent

from tests.cli.test_serve_http import served
from tests.support.patience import PATIENCE_SECONDS, until
from tp_mcp.server.rendering import INBOX_HEADING
from tp_mcp.simulator import SimulatorOptions, serve_simulator
from tp_mcp.storage.opening import open_storage

pytestmark = pytest.mark.slow

SPEED = 150.0
LAB, OTHER_LAB = "AT16_Combined_FSW", "AT33_New_NAC"
BUILD = "6955"
WAIT_SECONDS = 120
WAITING = """
import asyncio, json, sys
from mcp import Client, StdioServerParameters
server = json.loads(sys.argv[1])
async def main():
    async def told(*_): print("waiting", flush=True)
    target = StdioServerParameters(**server) if isinstance(server, dict) else server
    async with Client(target, mode=sys.argv[2]) as client:
        build = {"testbed": sys.argv[3], "mode": "build", "build_number": "6955"}
        started = await client.call_tool("start_upgrade", build)
        print(started.content[0].text[1:11], flush=True)
        arguments = {"watch_id": started.content[0].text[1:11], "max_wait_seconds": 200}
        await client.call_tool("wait_for_watch", arguments, progress_callback=told)
asyncio.run(main())
"""


@dataclass(frozen=True)
class Tp:
    """A TP on a port."""

    url: str

    async def upgraded(self, lab: str) -> None:
        """Return when TP shows that the upgrade of a lab has ended."""
        async with httpx2.AsyncClient(base_url=self.url) as client, asyncio.timeout(PATIENCE_SECONDS):
            login = {"username": "demo", "password": "demo-password"}
            token = (await client.post("/token-auth/", json=login)).json()["token"]
            while True:
                shown = await client.get(f"/adc/automation/upgrade/{lab}/", headers={"Authorization": f"JWT {token}"})
                # Until a worker picks it up, what is shown is the upgrade before it.
                if shown.json()["status"] == "SUCCESS" and BUILD in shown.text:
                    return
                await asyncio.sleep(0.1)


@pytest.fixture
async def tp() -> AsyncIterator[Tp]:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    options = SimulatorOptions(speed=SPEED)
    serving = asyncio.create_task(serve_simulator(options, host="127.0.0.1", port=0, on_ready=ready.set_result))
    yield Tp(await asyncio.wait_for(ready, PATIENCE_SECONDS))
    serving.cancel()
    await asyncio.wait([serving])


def variables(tp: Tp, tmp_path: Path, **more: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "TP_MCP_BASE_URL": tp.url,
        "TP_MCP_USERNAME": "demo",
        "TP_MCP_PASSWORD": "demo-password",
        "TP_MCP_STATE_DIR": str(tmp_path / "state"),
        "TP_MCP_CONFIG_FILE": os.devnull,
        "TP_MCP_CONFIRM": "nothing",
        "TP_MCP_INTERVAL_FACTOR": "0.02",
        **more,
    }


def stdio(environment: Mapping[str, str]) -> StdioServerParameters:
    return StdioServerParameters(command=sys.executable, args=["-m", "tp_mcp", "serve"], env=dict(environment))


async def called(client: Client, tool: str, **arguments: object) -> str:
    result = await client.call_tool(tool, arguments)
    assert isinstance(result.content[0], TextContent)
    assert not result.is_error, result.content[0].text
    return result.content[0].text


async def found(tmp_path: Path, watch_id: str) -> None:
    """Return once the server has written the end of a watch."""
    async with await open_storage(tmp_path / "state") as storage:

        async def ended() -> bool:
            watch = await storage.watches.get(watch_id)
            return watch is not None and watch.state.ended

        await until(ended)


@asynccontextmanager
async def waiting(server: StdioServerParameters | str, mode: str, lab: str = LAB) -> AsyncIterator[str]:
    """Let a client in a process of its own start an upgrade and wait for it; kill it in the middle of the wait."""
    described = server if isinstance(server, str) else server.model_dump_json(include={"command", "args", "env"})
    argument = f'"{described}"' if isinstance(server, str) else described
    client = await anyio.open_process([sys.executable, "-c", WAITING, argument, mode, lab], stderr=None)
    try:
        assert client.stdout is not None
        told = ""
        with anyio.fail_after(PATIENCE_SECONDS):
            while told.count("\n") < 2:
                told += (await client.stdout.receive()).decode()
        client.send_signal(signal.SIGKILL)
        yield told.split()[0]
    finally:
        if client.returncode is None:
            client.kill()
        await client.wait()


async def test_over_stdio_the_first_result_after_the_return_has_the_end(tp: Tp, tmp_path: Path) -> None:
    server = stdio(variables(tp, tmp_path, CLAUDE_CODE_SESSION_ID="the-conversation"))
    async with waiting(server, "legacy") as watch_id:
        await tp.upgraded(LAB)

    async def first_result_has_the_end() -> bool:
        async with Client(server) as client:
            return f"{INBOX_HEADING}\n[{watch_id}]" in await called(client, "list_labs")

    # On a busy machine the first one may come before the server has asked TP.
    await until(first_result_has_the_end)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_over_http_the_first_result_after_the_return_has_the_end(tp: Tp, tmp_path: Path, mode: str) -> None:
    with served(tmp_path, environment=variables(tp, tmp_path)) as server:
        async with waiting(server.url, mode) as watch_id:
            await tp.upgraded(LAB)

        async def first_result_has_the_end() -> bool:
            async with Client(server.url, mode=mode) as client:
                return f"{INBOX_HEADING}\n[{watch_id}]" in await called(client, "list_labs")

        # The server has to notice that the client is gone, and to find the end.
        await until(first_result_has_the_end, every_seconds=0.5)


async def test_two_chats_on_one_project_directory_do_not_take_each_others_ends(tp: Tp, tmp_path: Path) -> None:
    server = stdio(variables(tp, tmp_path, CLAUDE_PROJECT_DIR=str(tmp_path)))
    async with Client(server) as one, Client(server) as two:
        ids = {}
        for client, lab in ((one, LAB), (two, OTHER_LAB)):
            build = {"testbed": lab, "mode": "build", "build_number": BUILD}
            ids[lab] = (await called(client, "start_upgrade", **build))[1:11]
        assert "is done" in await called(one, "wait_for_watch", watch_id=ids[LAB], max_wait_seconds=WAIT_SECONDS)
        await tp.upgraded(OTHER_LAB)
        # One looks at everything and names what is its own, and at the other's testbed too.
        for _ in range(4):
            await called(one, "list_labs")
            await called(one, "get_upgrade", testbed=OTHER_LAB)
            await called(one, "get_upgrade", testbed=LAB)
        seen_by_one = await called(one, "list_labs")
        assert ids[LAB] not in seen_by_one, "it named it, and was told twice"
        told = await called(two, "list_labs")
        assert f"[{ids[OTHER_LAB]}]" in told
        assert "Requested: mode build 6955" in told
        for _ in range(2):
            assert f"[{ids[OTHER_LAB]}]" in await called(two, "list_labs"), "until it names it"
        await called(two, "wait_for_watch", watch_id=ids[OTHER_LAB])
        assert ids[OTHER_LAB] not in await called(two, "list_labs")


async def test_parallel_calls_of_one_turn_lose_no_end(tp: Tp, tmp_path: Path) -> None:
    server = stdio(variables(tp, tmp_path, CLAUDE_CODE_SESSION_ID="the-conversation"))
    async with Client(server) as client:
        build = {"testbed": LAB, "mode": "build", "build_number": BUILD}
        watch_id = (await called(client, "start_upgrade", **build))[1:11]
        await tp.upgraded(LAB)
        await called(client, "wait_for_watch", watch_id=watch_id, max_wait_seconds=WAIT_SECONDS)
        both = await asyncio.gather(*(called(client, "list_labs") for _ in range(2)))
        assert any(watch_id in each for each in both), "the wait's result may have been dropped"


async def test_a_result_that_the_client_dropped_loses_no_end(tp: Tp, tmp_path: Path) -> None:
    server = stdio(variables(tp, tmp_path, CLAUDE_CODE_SESSION_ID="the-conversation"))
    async with Client(server) as client:
        build = {"testbed": LAB, "mode": "build", "build_number": BUILD}
        watch_id = (await called(client, "start_upgrade", **build))[1:11]
        with anyio.move_on_after(0.3):
            await called(client, "wait_for_watch", watch_id=watch_id, max_wait_seconds=WAIT_SECONDS)
        await tp.upgraded(LAB)
        await found(tmp_path, watch_id)
        assert f"{INBOX_HEADING}\n[{watch_id}]" in await called(client, "list_labs")
