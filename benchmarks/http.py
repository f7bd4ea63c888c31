"""Many clients on one HTTP server, some of which stop reading: what that costs the others.

180 real clients, half of each protocol era, call a tool at a steady rate. First without anybody else, then beside 20
that ask for much on real sockets and never read an answer; one that is dropped for it connects again. Both are the same
server process, clients and rate, so that the ratio of the latencies is what the stalled readers cost. One client alone
is printed as well: what is beyond that is the load of the others that do read.
"""

import asyncio
import contextlib
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from urllib.parse import urlsplit

import httpx2
from mcp import Client

CLIENTS = 200
STALLED = CLIENTS // 10
READING = CLIENTS - STALLED
CALLS_PER_SECOND = 40.0
"""Of all reading clients together: a fraction of what the server can answer, because no throughput is measured."""

ONE_INTERVAL_SECONDS = 0.05
ROUNDS = 3
ROUND_SECONDS = 12.0
"""Longer than a stalled reader is left in peace, so that drops fall into each round."""

WARM_UP_SECONDS = 3.0
WANTED_RATIO = 2.0
RECEIVE_BUFFER_BYTES = 4_096
ASK_AGAIN_SECONDS = 0.25
"""How often a stalled reader asks on, without ever reading; sending fails once it was dropped."""


@contextmanager
def served() -> Iterator[str]:
    """Run the server, with the embedded TP standing nearly still; give its address."""
    with tempfile.TemporaryDirectory(prefix="tp-mcp-http-") as state_dir:
        environment = {**os.environ, "TP_MCP_STATE_DIR": state_dir, "TP_MCP_CONFIG_FILE": os.devnull}
        command = [sys.executable, "-m", "tp_mcp", "serve", "--http", "--port", "0", "--simulator", "--speed", "1"]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as server:
            try:
                yield _address(server)
            finally:
                server.terminate()


def _address(server: "subprocess.Popen[str]") -> str:
    if server.stderr is None:
        raise ValueError("the server's standard error is a pipe")
    return server.stderr.readline().split()[-1]


async def call_steadily(client: Client, interval: float, until: float, latencies: list[float]) -> None:
    """Call a tool at a rate, at times that do not fall together, and note how long each answer took."""
    await asyncio.sleep(random.uniform(0, interval))  # noqa: S311 -- spreads the load
    while time.perf_counter() < until:
        began = time.perf_counter()
        await client.call_tool("list_watches", {})
        latencies.append(time.perf_counter() - began)
        await asyncio.sleep(max(interval - (time.perf_counter() - began), 0))


async def measured(clients: list[Client], interval: float, seconds: float) -> list[float]:
    """Return the latencies of calls that clients make for some seconds."""
    latencies: list[float] = []
    until = time.perf_counter() + seconds
    async with asyncio.TaskGroup() as tasks:
        for client in clients:
            tasks.create_task(call_steadily(client, interval, until, latencies))
    return latencies


async def stall(url: str, dropped: list[float]) -> None:
    """Ask for much and read nothing of it; once dropped, do it again."""
    parts, loop = urlsplit(url), asyncio.get_running_loop()
    await asyncio.sleep(random.uniform(0, WARM_UP_SECONDS))  # noqa: S311 -- spreads the load
    while True:
        session = await _new_session(url)
        asked = json.dumps({"jsonrpc": "2.0", "id": 2, "method": "tools/list"})
        request = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
            f"Accept: application/json, text/event-stream\r\nMcp-Session-Id: {session}\r\n"
            f"MCP-Protocol-Version: 2025-11-25\r\nContent-Length: {len(asked)}\r\n\r\n{asked}"
        ).encode()
        with socket.socket() as client:
            # As little as the system allows; what the server still sends waits on its own side.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            client.setblocking(False)
            await loop.sock_connect(client, (parts.hostname, parts.port))
            with contextlib.suppress(OSError):
                while True:
                    await loop.sock_sendall(client, request)
                    await asyncio.sleep(ASK_AGAIN_SECONDS)
        dropped.append(time.perf_counter())


async def _new_session(url: str) -> str:
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "stalled", "version": "1"}}
    headers = {"accept": "application/json, text/event-stream"}
    async with httpx2.AsyncClient(headers=headers) as client:
        opened = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
        session = (await client.post(url, json=opened)).headers["mcp-session-id"]
        await client.post(
            url,
            json={"jsonrpc": "2.0", "method": "notifications/initialized"},
            headers={"mcp-session-id": session, "mcp-protocol-version": "2025-11-25"},
        )
    return session


@asynccontextmanager
async def stalled_readers(url: str, count: int) -> AsyncIterator[list[float]]:
    """Have so many readers stall; give the times at which one was dropped."""
    dropped: list[float] = []
    tasks = [asyncio.create_task(stall(url, dropped)) for _ in range(count)]
    await asyncio.sleep(2 * WARM_UP_SECONDS)
    try:
        yield dropped
        if failed := [task.exception() for task in tasks if task.done()]:
            raise RuntimeError(f"a stalled reader gave up: {failed[0]!r}")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def told(name: str, latencies: list[float]) -> tuple[float, float]:
    """Print and return the median and the 99th percentile, in milliseconds."""
    cuts = statistics.quantiles(latencies, n=100)
    p50, p99 = cuts[49] * 1_000, cuts[98] * 1_000
    print(f"{name:<46} {len(latencies):>5} calls  p50 {p50:7.2f} ms  p99 {p99:7.2f} ms")
    return p50, p99


async def run() -> int:
    """Measure, and return the exit code: 0 where the others' latency keeps within what is wanted."""
    interval = READING / CALLS_PER_SECOND
    alone: list[float] = []
    beside: list[float] = []
    with served() as url:
        async with AsyncExitStack() as stack:
            modes = ["legacy" if number % 2 else "auto" for number in range(READING)]
            clients = [await stack.enter_async_context(Client(url, mode=mode)) for mode in modes]
            await measured(clients, interval, WARM_UP_SECONDS)
            one = await measured(clients[:1], ONE_INTERVAL_SECONDS, ROUND_SECONDS)
            drops = 0
            for _ in range(ROUNDS):
                # In turn, so that whatever else the machine does meets both alike.
                alone += await measured(clients, interval, ROUND_SECONDS)
                async with stalled_readers(url, STALLED) as dropped:
                    beside += await measured(clients, interval, ROUND_SECONDS)
                drops += len(dropped)
    told("one client", one)
    p50, p99 = told(f"{READING} clients", alone)
    beside_p50, beside_p99 = told(f"{READING} clients beside {STALLED} stalled readers", beside)
    print(f"stalled readers were dropped {drops} times")
    ratios = beside_p50 / p50, beside_p99 / p99
    print(
        "the others' latency, as a ratio: p50 {:.2f}, p99 {:.2f} (wanted: at most {:g})".format(*ratios, WANTED_RATIO)
    )
    return 0 if max(ratios) <= WANTED_RATIO else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(run()))
