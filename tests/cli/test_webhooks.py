"""Webhooks of a real server process: signed, under one id across a kill, and a chat server's turn at the end."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio.to_thread
import pytest

from tests.cli.test_serve import Server
from tests.support.patience import PATIENCE_SECONDS
from tests.webhooks.conftest import SECRET, Receiver

pytestmark = pytest.mark.slow

BUILD = {"testbed": "AT16_Combined_FSW", "mode": "build", "build_number": "6957"}


@contextmanager
def served(state: Path, url: str) -> Iterator[Server]:
    webhook = {"url": url, "secret": SECRET, "format": "forge", "allow_private_addresses": True}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TP_MCP_")}
    environment |= {
        "TP_MCP_STATE_DIR": str(state),
        "TP_MCP_CONFIG_FILE": os.devnull,
        "TP_MCP_WEBHOOKS": json.dumps({"chat": webhook}),
        "CLAUDE_CODE_SESSION_ID": "session-7",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tp_mcp", "serve", "--simulator", "--speed", "500"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    ) as process:
        try:
            yield Server(process)
        finally:
            process.kill()


async def test_an_end_arrives_as_a_turn_under_one_id_although_its_sender_was_killed(tmp_path: Path) -> None:
    answering = asyncio.Event()
    receiver = Receiver(hold=answering)
    listening = await asyncio.start_server(receiver.handle, "127.0.0.1", 0)
    receiver.port = listening.sockets[0].getsockname()[1]
    state = tmp_path / "state"

    async def arrivals(count: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(receiver.received) < count:
                await asyncio.sleep(0.02)

    with served(state, receiver.url()) as server:
        await anyio.to_thread.run_sync(server.initialize)
        told = await anyio.to_thread.run_sync(lambda: server.call("start_upgrade", **BUILD))
        await arrivals(1)
        # It was sent and is not answered: nobody knows whether it arrived.
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
    with sqlite3.connect(state / "simulator" / "watches.sqlite3") as db:
        assert db.execute("SELECT count(*) FROM outgoing").fetchone() == (1,)
        # As if the time of its claim had passed.
        db.execute("UPDATE outgoing SET due_at = 0")
    db.close()
    answering.set()
    with served(state, receiver.url()) as server:
        await anyio.to_thread.run_sync(server.initialize)
        await arrivals(2)
        listed = await anyio.to_thread.run_sync(lambda: server.call("list_watches"))
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert first.is_signed_with(SECRET.encode())
    assert second.is_signed_with(SECRET.encode())
    assert second.json["kind"] == "turn"
    assert second.json["session"] == "session-7"
    assert second.json["watch_id"] == told[1:11]
    assert "is done" in second.json["text"]
    assert told[1:11] in listed
    listening.close()
