"""Many clients on one HTTP server, some of which stop reading: what that costs the others.

180 real clients, half of each protocol era, call a tool at a steady rate: first without anybody else, then beside 20
stalled readers, in turn, so that whatever else the machine does meets both alike. Both are the same server process,
clients and rate, so that the ratio of the latencies is what the stalled readers cost; the median of the rounds counts.
One client alone is printed as well: what is beyond that is the load of the others that do read.

A stalled reader has a session and asks for the tools so often, in one go, that the answers are more than its connection
holds; then it neither reads nor asks any more. So the server has unsent data for it from then on, until it drops the
connection. As the clients of the official SDKs do, it connects again after a second, with the session it has, and does
the same. Each keeps its own time, because clients do not stall together. How many were left with unread data is
measured in each round; fewer than 17 of the 20 on average end the run, because then the round shows nothing.
"""

import asyncio
import contextlib
import fcntl
import gc
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx2
from mcp import Client

CLIENTS = 200
STALLED = CLIENTS // 10
READING = CLIENTS - STALLED
CALLS_PER_SECOND = 40.0
"""Of all reading clients together: a fraction of what the server can answer, because no throughput is measured."""

ONE_INTERVAL_SECONDS = 0.05
ROUNDS = 5
ROUND_SECONDS = 12.0
"""Longer than a stalled reader is left in peace, so that drops fall into each round."""

WARM_UP_SECONDS = 3.0
WANTED_RATIO = 2.0
RECEIVE_BUFFER_BYTES = 4_096
ASKED_AT_ONCE = 32
"""How often a stalled reader asks for the tools in one go: 500 kB, of which system and server hold 200 for it."""

RECONNECT_SECONDS = 1.0
"""After how long the official SDKs' clients first try again; they would wait longer each further time."""

SPREAD_SECONDS = 12.0
"""A stalled reader's time from connecting to connecting again, roughly; they begin at any moment of it."""

LOOK_SECONDS = 0.25
LEAST_STALLED = 17.0
"""How many must have unread data in the mean of a round: each is without for a while when it was dropped."""


@contextmanager
def served() -> Iterator[str]:
    """Run the server, with the embedded TP standing nearly still; give its address."""
    with tempfile.TemporaryDirectory(prefix="tp-mcp-http-") as state_dir:
        environment = {
            **os.environ,
            "TP_MCP_STATE_DIR": state_dir,
            "TP_MCP_CONFIG_FILE": os.devnull,
            # All clients are one user here, and a refusal would be a quick answer.
            "TP_MCP_REQUESTS_PER_MINUTE": "1000000",
        }
        command = [sys.executable, "-m", "tp_mcp", "serve", "--http", "--no-auth", "--port", "0"]
        command += ["--simulator", "--speed", "1"]
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
        result = await client.call_tool("list_watches", {})
        if result.is_error:
            raise RuntimeError(f"a call was refused: {result.content}")
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


@dataclass(slots=True)
class Stalled:
    """Readers that stall.

    Attributes:
        waiting: the connections that asked and were not dropped yet.
        drops: how often one was dropped.
    """

    waiting: set[socket.socket] = field(default_factory=set)
    drops: int = 0

    def count(self) -> int:
        """Return how many have unread data."""
        return sum(_unread_bytes(client) > 0 for client in self.waiting)

    async def stall(self, url: str, session: str) -> None:
        """Ask for much and read nothing of it; once dropped, do it again."""
        parts, loop = urlsplit(url), asyncio.get_running_loop()
        asked = json.dumps({"jsonrpc": "2.0", "id": 2, "method": "tools/list"})
        request = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
            f"Accept: application/json, text/event-stream\r\nMcp-Session-Id: {session}\r\n"
            f"MCP-Protocol-Version: 2025-11-25\r\nContent-Length: {len(asked)}\r\n\r\n{asked}"
        ).encode()
        await asyncio.sleep(random.uniform(0, SPREAD_SECONDS))  # noqa: S311 -- spreads the load
        while True:
            with socket.socket() as client:
                # As little as the system allows; what the server still sends waits on its own side.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
                client.setblocking(False)
                await loop.sock_connect(client, (parts.hostname, parts.port))
                await loop.sock_sendall(client, request * ASKED_AT_ONCE)
                self.waiting.add(client)
                try:
                    await _dropped(client)
                finally:
                    self.waiting.remove(client)
            self.drops += 1
            await asyncio.sleep(RECONNECT_SECONDS)


def _unread_bytes(client: socket.socket) -> int:
    return int.from_bytes(fcntl.ioctl(client, termios.FIONREAD, bytes(4)), sys.byteorder)


async def _dropped(client: socket.socket) -> None:
    """Wait until the server has dropped a connection, without reading from it."""
    loop = asyncio.get_running_loop()
    # An empty line asks for nothing. The server does not even read it before its answers went out; but whoever sends on
    # a connection that was dropped is told so.
    with contextlib.suppress(OSError):
        while True:
            await loop.sock_sendall(client, b"\r\n")
            await asyncio.sleep(LOOK_SECONDS)


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


async def measured_beside(
    url: str, sessions: list[str], clients: list[Client], interval: float
) -> tuple[list[float], int]:
    """Return the latencies of calls beside readers that stall, and how often one of those was dropped."""
    stalled, counts = Stalled(), list[int]()

    async def count() -> None:
        while True:
            counts.append(stalled.count())
            await asyncio.sleep(LOOK_SECONDS)

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(stalled.stall(url, session)) for session in sessions]
        # As long, so that each has stalled and some were dropped.
        await asyncio.sleep(SPREAD_SECONDS)
        running.append(tasks.create_task(count()))
        drops_before = stalled.drops
        latencies = await measured(clients, interval, ROUND_SECONDS)
        for task in running:
            task.cancel()
    print(f"  stalled at once, in the mean: {statistics.mean(counts):.1f} of {len(sessions)}")
    if statistics.mean(counts) < LEAST_STALLED:
        raise RuntimeError("too few readers had unread data")
    return latencies, stalled.drops - drops_before


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
    ratios: list[tuple[float, float]] = []
    drops = 0
    with served() as url:
        async with AsyncExitStack() as stack:
            modes = ["legacy" if number % 2 else "auto" for number in range(READING)]
            clients = [await stack.enter_async_context(Client(url, mode=mode)) for mode in modes]
            sessions = [await _new_session(url) for _ in range(STALLED)]
            # What the clients are made of lives to the end; looking for garbage in it would be measured as well.
            gc.collect()
            gc.freeze()
            await measured(clients, interval, WARM_UP_SECONDS)
            one = await measured(clients[:1], ONE_INTERVAL_SECONDS, ROUND_SECONDS)
            for number in range(1, ROUNDS + 1):
                without = await measured(clients, interval, ROUND_SECONDS)
                latencies, dropped = await measured_beside(url, sessions, clients, interval)
                before, after = told(f"round {number} without", without), told(f"round {number} beside", latencies)
                ratios.append((after[0] / before[0], after[1] / before[1]))
                alone += without
                beside += latencies
                drops += dropped
    told("one client", one)
    told(f"{READING} clients", alone)
    told(f"{READING} clients beside {STALLED} stalled readers", beside)
    print(f"stalled readers were dropped {drops} times")
    p50, p99 = (statistics.median(of_round) for of_round in zip(*ratios, strict=True))
    print(f"the others' latency, as a ratio, median of {ROUNDS} rounds: p50 {p50:.2f}, p99 {p99:.2f}", end=" ")
    print(f"(wanted: at most {WANTED_RATIO:g})")
    return 0 if max(p50, p99) <= WANTED_RATIO else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(run()))
