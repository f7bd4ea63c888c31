"""A server over HTTP is killed in the middle of a user's watch; the next one goes on with the login kept for them."""

import asyncio
import base64
import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.promises.test_killed_server import LAB, call
from tests.support.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.slow


@contextmanager
def process(
    *arguments: str, environment: dict[str, str] | None = None
) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Run a command that says on its first line where it listens."""
    with subprocess.Popen(
        [sys.executable, "-m", "tp_mcp", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    ) as running:
        try:
            assert running.stdout is not None
            yield running, running.stdout.readline().split()[-1]
        finally:
            running.kill()


def ran(environment: dict[str, str], *arguments: str, typed: str = "") -> str:
    return subprocess.run(
        [sys.executable, "-m", "tp_mcp", *arguments],
        input=typed,
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        timeout=PATIENCE_SECONDS,
    ).stdout


async def asked(url: str, token: str, tool: str, **arguments: object) -> str:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=PATIENCE_SECONDS) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        return await call(client, tool, **arguments)


async def test_polls_go_on_with_the_kept_login_after_a_kill(tmp_path: Path) -> None:
    serve = ("serve", "--http", "--port", "0")
    with process("simulate", "--port", "0", "--speed", "20") as (_, tp_url):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TP_MCP_")} | {
            "TP_MCP_BASE_URL": tp_url,
            "TP_MCP_AUTH": "tokens",
            "TP_MCP_CONFIRM": "nothing",
            "TP_MCP_ENCRYPTION_KEY": base64.b64encode(os.urandom(32)).decode(),
            "TP_MCP_STATE_DIR": str(tmp_path / "state"),
            "TP_MCP_CONFIG_FILE": os.devnull,
            "TP_MCP_INTERVAL_FACTOR": "0.03",
        }
        token = ran(environment, "token", "add", "alice-1", "--user", "alice").strip()
        kept = ("credentials", "set", "--user", "alice", "--tp-user", "rival")
        ran(environment, *kept, typed="rival-password\n")
        with process(*serve, environment=environment) as (server, url):
            started = await asked(url, token, "run_pytest", lab=LAB, testcase=["Tests_CLI/test_system.py"])
            found = re.search(r"w_\w{8}", started)
            assert found is not None, started
            server.send_signal(signal.SIGKILL)
        with process(*serve, environment=environment) as (server, url):
            async with asyncio.timeout(PATIENCE_SECONDS):
                ended = await asked(url, token, "wait_for_watch", watch_id=found[0], max_wait_seconds=40)
            assert "Done" in ended or "passed" in ended, ended
            server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                said, _ = server.communicate(timeout=PATIENCE_SECONDS)
                assert "rival-password" not in said
    for path in (tmp_path / "state").rglob("*"):
        assert not path.is_file() or b"rival-password" not in path.read_bytes()
