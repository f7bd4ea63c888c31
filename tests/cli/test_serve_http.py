"""`tp-mcp serve --http` as a real process: it says where it is, and ends in time with everything open."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import httpx2
import pytest
from mcp import Client
from mcp.types import TextContent

from tests.support.patience import PATIENCE_SECONDS
from tp_mcp.composition.serve_options import HttpOptions, parse_serve_options

pytestmark = pytest.mark.slow

LABS = {"legacy": "AT16_Combined_FSW", "auto": "AT33_New_NAC"}


@dataclass
class Server:
    """A server process."""

    process: "subprocess.Popen[str]"
    url: str
    log: list[str] = field(default_factory=list)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end, and wait until it has."""
        self.process.send_signal(how)
        self.process.wait(timeout=PATIENCE_SECONDS)


@contextmanager
def served(tmp_path: Path, *options: str, environment: dict[str, str] | None = None) -> Iterator[Server]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TP_MCP_")}
    environment = environment or inherited | {
        "TP_MCP_STATE_DIR": str(tmp_path / "state"),
        "TP_MCP_CONFIG_FILE": os.devnull,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tp_mcp", "serve", "--http", "--no-auth", "--port", "0", *options],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            server = Server(process, said.split()[-1])
            Thread(target=server.log.extend, args=(process.stderr,), daemon=True).start()
            yield server
        finally:
            process.kill()


@asynccontextmanager
async def waiting_client(url: str, mode: str) -> AsyncIterator["asyncio.Task[str]"]:
    """Connect, start a run and wait for it; a client of the handshake era has its GET stream open meanwhile."""
    async with Client(url, mode=mode) as client:
        began = asyncio.Event()

        async def told(progress: float, total: float | None, message: str | None) -> None:
            began.set()

        async def wait(watch_id: str) -> str:
            arguments = {"watch_id": watch_id, "max_wait_seconds": 200}
            result = await client.call_tool("wait_for_watch", arguments, progress_callback=told)
            assert isinstance(result.content[0], TextContent)
            return result.content[0].text

        started = await client.call_tool("run_pytest", {"lab": LABS[mode], "testcase": ["Tests_CLI"]})
        assert isinstance(started.content[0], TextContent)
        waiting = asyncio.create_task(wait(started.content[0].text[1:11]))
        async with asyncio.timeout(PATIENCE_SECONDS):
            await began.wait()
        yield waiting
        waiting.cancel()
        with contextlib.suppress(Exception, asyncio.CancelledError):
            await waiting


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_it_ends_in_time_with_streams_and_waits_open_and_answers_the_waits(
    tmp_path: Path, how: signal.Signals
) -> None:
    with served(tmp_path, "--simulator", "--speed", "1") as server:
        async with waiting_client(server.url, "legacy") as legacy, waiting_client(server.url, "auto") as modern:
            await asyncio.to_thread(server.stop, how)
            answers = await asyncio.gather(legacy, modern)
        assert server.process.returncode == 0
        assert all(answer.startswith("The server is closing.") for answer in answers)
        assert server.log == []


def test_without_a_tp_it_starts_all_the_same_and_says_that_it_is_not_ready(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        base = server.url.removesuffix("/mcp")
        assert httpx2.get(f"{base}/healthz").status_code == 200
        ready = httpx2.get(f"{base}/readyz")
        assert ready.status_code == 503
        assert ready.json() == {"ready": False, "store": "not open; see the server's log", "tp": "not asked"}


def test_a_port_that_is_taken_is_said_in_words(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        port = server.url.split(":")[2].removesuffix("/mcp")
        second = subprocess.run(
            [sys.executable, "-m", "tp_mcp", "serve", "--http", "--no-auth", "--port", port],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
    assert second.returncode == 1
    assert f"cannot listen on port {port}" in second.stderr
    assert "Traceback" not in second.stderr


def test_the_options_are_read() -> None:
    assert parse_serve_options(["--http"]).http == HttpOptions("127.0.0.1", 8765)
    assert parse_serve_options(["--http", "--host", "localhost", "--port", "0"]).http == HttpOptions("127.0.0.1", 0)
    assert parse_serve_options(["--http", "--host", "::1"]).http == HttpOptions("::1", 8765)
    assert parse_serve_options([]).http is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--no-auth"], "for --http"),
        (["--http", "--host", "tp.example"], "not an IP address"),
        (["--http", "--port", "65536"], "between 0 and 65535"),
        (["--port", "80"], "for --http"),
    ],
)
def test_what_cannot_be_served_is_refused_in_words(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse_serve_options(arguments)
    assert said in capsys.readouterr().err


async def test_it_ends_in_time_under_load_with_a_client_that_never_reads(tmp_path: Path) -> None:
    with served(tmp_path, "--simulator", "--speed", "1") as server:
        async with waiting_client(server.url, "auto") as waiting:
            calling = [asyncio.create_task(asked_for_ever(server.url)) for _ in range(8)]
            with never_reading(server.url):
                await asyncio.sleep(1)
                await asyncio.to_thread(server.stop)
            assert (await waiting).startswith("The server is closing.")
            await asyncio.gather(*calling)


def headers_of_session(url: str) -> dict[str, str]:
    """Open a session; return the headers of its requests."""
    accept = {"accept": "application/json, text/event-stream"}
    client = {"name": "test", "version": "1"}
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
    opened = httpx2.post(
        url, headers=accept, json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    )
    return {**accept, "mcp-session-id": opened.headers["mcp-session-id"]}


async def asked_for_ever(url: str) -> None:
    """Ask for the list of tools until the server is gone."""
    headers = await asyncio.to_thread(headers_of_session, url)
    async with httpx2.AsyncClient(headers=headers) as client:
        with contextlib.suppress(httpx2.HTTPError):
            while True:
                await client.post(url, json={"jsonrpc": "2.0", "id": 2, "method": "tools/list"})


@contextmanager
def never_reading(url: str) -> Iterator[None]:
    """Ask for the list of tools again and again on one socket, and read nothing."""
    host, _, port = url.removeprefix("http://").removesuffix("/mcp").rpartition(":")
    asked = b'{"jsonrpc": "2.0", "id": 2, "method": "tools/list"}'
    headers = {**headers_of_session(url), "host": f"{host}:{port}", "content-type": "application/json"}
    lines = [f"{name}: {value}" for name, value in {**headers, "content-length": len(asked)}.items()]
    request = "\r\n".join(["POST /mcp HTTP/1.1", *lines, "", ""]).encode() + asked
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.connect((host, int(port)))
        client.sendall(request * 40)
        yield
