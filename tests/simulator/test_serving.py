import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.patience import PATIENCE_SECONDS
from tp_mcp.simulator import SimulatorOptions, serve_simulator

SCRIPT = """
import asyncio, sys
from pathlib import Path
from tp_mcp.simulator import SimulatorOptions, serve_simulator
options = SimulatorOptions(speed=20, workdir=Path(sys.argv[1]))
asyncio.run(serve_simulator(options, host="127.0.0.1", port=0, on_ready=lambda url: print(url, flush=True)))
print("stopped")
"""


class Served:
    def __init__(self) -> None:
        self.url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(
            serve_simulator(SimulatorOptions(speed=400), host="127.0.0.1", port=0, on_ready=self.url.set_result)
        )

    async def stop(self) -> None:
        self.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.task


async def login(client: httpx2.AsyncClient) -> None:
    token = (await client.post("/token-auth/", json={"username": "demo", "password": "demo-password"})).json()["token"]
    client.headers["Authorization"] = f"JWT {token}"


async def running(client: httpx2.AsyncClient) -> Any:
    row: Any = {}
    while row.get("status") != "Running":
        row = (await client.get("/adc/automation/pytest/446/")).json()
    return row


async def test_a_port_serves_the_same_and_stops_when_cancelled() -> None:
    served = Served()
    async with asyncio.timeout(PATIENCE_SECONDS):
        url = await served.url
        async with httpx2.AsyncClient(base_url=url) as client:
            await login(client)
            assert (await client.get("/adc/automation/upgrade/AT16_Combined_FSW/")).json()["status"] == "SUCCESS"
        await served.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=1)


async def test_on_a_port_a_dropped_connection_is_a_closed_socket() -> None:
    served = Served()
    async with asyncio.timeout(PATIENCE_SECONDS), httpx2.AsyncClient(base_url=await served.url) as client:
        await login(client)
        await client.post(
            "/_sim/faults", json={"kind": "drop", "when": "after", "times": 1, "endpoint": "start_pytest"}
        )
        body = {"user": "demo", "lab": "AT16_Combined_FSW", "testcase": ["Tests_Log"]}
        with pytest.raises(httpx2.TransportError):
            await client.post("/adc/automation/pytest/", json=body)
        assert (await client.post("/adc/automation/pytest/", json=body)).status_code == 409
    await served.stop()


async def test_sigterm_stops_cleanly_in_the_middle_of_a_run(tmp_path: Path, alive_in_group: Any) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SCRIPT, str(tmp_path / "scratch"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            url = (await process.stdout.readline()).decode().strip()
            async with httpx2.AsyncClient(base_url=url) as client:
                await login(client)
                body = {"user": "demo", "lab": "AT16_Combined_FSW", "testcase": ["Tests_CLI"]}
                await client.post("/adc/automation/pytest/", json=body)
                row = await running(client)
            process.send_signal(signal.SIGTERM)
            assert await process.stdout.read() == b"stopped\n"
            assert await process.wait() == 0
        assert alive_in_group(int(row["remote_pid"])) == []
    finally:
        if process.returncode is None:
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
