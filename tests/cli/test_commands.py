"""The other commands, run as a user runs them."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tp_mcp import __version__
from tp_mcp.cli.commands import app
from tp_mcp.cli.tools import MAX_TOKENS, MAX_TOOLS, listing_tokens
from tp_mcp.server.toolset import DEFAULT_TOOLS

pytestmark = pytest.mark.slow


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_version_is_the_packages() -> None:
    assert run("version").strip() == __version__


def test_the_help_names_every_command() -> None:
    said = run("--help")
    for command in ("serve", "demo", "doctor", "simulate", "tools", "upgrade", "run", "wait", "report"):
        assert command in said


@pytest.mark.parametrize("command", ["upgrade", "run", "wait", "report"])
def test_the_help_of_what_scripts_use_tells_the_exit_codes(command: str) -> None:
    said = " ".join(run(command, "--help").split())
    assert "Exit codes: 0 passed, 1 failed, 2 unknown" in said


def test_the_tools_are_listed_with_what_they_cost() -> None:
    said = run("tools")
    assert "`start_upgrade`" in said
    assert re.search(rf"{len(DEFAULT_TOOLS)} tools of at most {MAX_TOOLS}", said)
    assert f"{listing_tokens()} tokens of at most {MAX_TOKENS}" in said


def test_the_listing_keeps_its_budget() -> None:
    assert len(DEFAULT_TOOLS) <= MAX_TOOLS
    assert listing_tokens() <= MAX_TOKENS


@pytest.mark.timeout(120)
def test_the_demo_plays_the_conversation_to_its_end(tmp_path: Path) -> None:
    demo = subprocess.run(
        [sys.executable, "-m", "tp_mcp", "demo", "--speed", "60"],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "HOME": str(tmp_path), "COLUMNS": "120"},
        check=False,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "The end of the run arrived by itself" in demo.stdout
    assert "radiusd: server table not loaded" in demo.stdout
    answer = demo.stdout.partition("Assistant: ")[2]
    assert re.match(r"Build 6957 is on AT16_Combined_FSW. Of Tests_CLI, 9 of 48 tests failed for 2 reasons; ", answer)
    assert "with 8 tests: radiusd: server table not loaded" in answer


def test_a_simulated_tp_that_cannot_have_its_port_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "tp_mcp", "simulate", "--port", port]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"tp-mcp: cannot listen on port {port} of 127.0.0.1: ")
    assert ended.stderr.endswith(" Choose another --port.\n")


def test_a_simulated_tp_says_where_it_listens_and_stops_when_asked() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tp_mcp", "simulate", "--port", "0"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        process.terminate()
        assert process.wait(timeout=10) == 0
