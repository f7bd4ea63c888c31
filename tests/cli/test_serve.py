"""`tp-mcp serve` as a real process: it ends when it should and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.patience import PATIENCE_SECONDS
from tp_mcp.composition.serve_options import ServeOptions, parse_serve_options

pytestmark = pytest.mark.slow


class Server:
    """A server process and the messages that go to it and come from it."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self._last_id = 0

    def request(self, method: str, **params: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._last_id += 1
        message = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()
        while True:
            answer: dict[str, Any] = json.loads(self.process.stdout.readline())
            if answer.get("id") == self._last_id:
                return answer

    def initialize(self) -> dict[str, Any]:
        client = {"name": "test", "version": "1"}
        return self.request("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo=client)

    def call(self, tool: str, **arguments: Any) -> str:
        answer = self.request("tools/call", name=tool, arguments=arguments)
        text: str = answer["result"]["content"][0]["text"]
        return text

    def children(self) -> list[int]:
        """Return the process ids of everything the server has started, and what that has started."""
        found: list[int] = []
        waiting = [self.process.pid]
        while waiting:
            parent = waiting.pop()
            listed = subprocess.run(
                ["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True, check=False
            )
            below = [int(pid) for pid in listed.stdout.split()]
            found += below
            waiting += below
        return found


@contextmanager
def served(tmp_path: Path, *options: str) -> Iterator[Server]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TP_MCP_")}
    environment |= {"TP_MCP_STATE_DIR": str(tmp_path / "state"), "TP_MCP_CONFIG_FILE": os.devnull}
    with subprocess.Popen(
        [sys.executable, "-m", "tp_mcp", "serve", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            yield Server(process)
        finally:
            process.kill()


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.parametrize("how", ["end of input", signal.SIGTERM, signal.SIGINT], ids=str)
def test_it_ends_in_time_with_a_run_under_way_and_leaves_no_process_behind(
    tmp_path: Path, how: str | signal.Signals
) -> None:
    with served(tmp_path, "--simulator") as server:
        server.initialize()
        assert "[w_" in server.call("run_pytest", lab="AT16_Combined_FSW", testcase=["Tests_CLI"])
        children = server.children()
        if isinstance(how, signal.Signals):
            server.process.send_signal(how)
        else:
            assert server.process.stdin is not None
            server.process.stdin.close()
        server.process.wait(timeout=PATIENCE_SECONDS)
        assert [pid for pid in children if is_running(pid)] == []


def test_without_a_tp_it_starts_all_the_same_and_says_what_to_set(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        assert server.initialize()["result"]["serverInfo"]["name"] == "tp-mcp"
        said = server.call("list_labs")
        assert "No TP is configured" in said
        assert "TP_MCP_BASE_URL" in said


def test_an_unknown_profile_is_said_in_the_conversation(tmp_path: Path) -> None:
    with served(tmp_path, "--profile", "staging") as server:
        server.initialize()
        assert "There is no profile 'staging'" in server.call("list_labs")


def test_the_options_are_read() -> None:
    assert parse_serve_options([]) == ServeOptions(profile=None, simulator=False, speed=20.0)
    assert parse_serve_options(["--simulator", "--speed", "5"]) == ServeOptions(simulator=True, speed=5.0)
    assert parse_serve_options(["--profile", "test"]).profile == "test"


@pytest.mark.parametrize("arguments", [["--speed", "0"], ["--speed", "fast"], ["--speed", "nan"], ["--unknown"]])
def test_wrong_options_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_serve_options(arguments)
    assert "error:" in capsys.readouterr().err
