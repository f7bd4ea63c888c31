"""`tp-mcp demo`: a whole conversation between a real MCP client and the server in its own process."""

import json
import os
import re
import sys
import tempfile
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, TextContent
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

LAB = "AT16_Combined_FSW"
BAD_BUILD = "6957"
CAUSE = "radiusd: server table not loaded"
"""The deliberate defect of that build."""

TESTS = "Tests_CLI"
WISH = f"Put build {BAD_BUILD} on AT16, run the CLI tests, and tell me what broke."
UPGRADE_WAIT_SECONDS = 60
RUN_WAIT_SIMULATED_SECONDS = 120
PAUSE_SECONDS = 3.0
MAX_QUESTIONS = 30
QUOTE = "  │ "
OTHER_QUESTIONS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("Which labs are free?", "list_labs", {}),
    ("Which tests are about PoE?", "list_testcases", {"search": "poe", "prefix": TESTS}),
    ("And who uses AT21?", "list_labs", {"search": "AT21"}),
)


def run_demo(*, speed: float) -> int:
    """Play the conversation and return the exit code: 0 if it went as expected."""
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="tp-mcp-demo-") as state_dir:
        return anyio.run(_play, console, speed, state_dir)


async def _play(console: Console, speed: float, state_dir: str) -> int:
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "tp_mcp", "serve", "--simulator", "--speed", str(speed)],
        # The demo ignores this machine's configuration, and reaches none of its servers.
        env={"TP_MCP_STATE_DIR": state_dir, "TP_MCP_CONFIG_FILE": os.devnull, "CLAUDE_CODE_SESSION_ID": "demo"},
    )
    async with Client(server) as client:
        conversation = Conversation(client, console)
        console.print(f"[bold cyan]You:[/] {WISH}\n")
        try:
            return await _conversation(
                conversation, console, run_wait_seconds=max(1, round(RUN_WAIT_SIMULATED_SECONDS / speed))
            )
        except ValueError as error:
            console.print(f"[bold red]The conversation broke off:[/] {escape(str(error))}", soft_wrap=True)
            return 1


async def _conversation(conversation: "Conversation", console: Console, *, run_wait_seconds: int) -> int:
    await conversation.call("list_labs", {"search": "AT16"})
    started = await conversation.call("start_upgrade", {"testbed": LAB, "mode": "build", "build_number": BAD_BUILD})
    upgraded = await conversation.call(
        "wait_for_watch", {"watch_id": watch_id(started), "max_wait_seconds": UPGRADE_WAIT_SECONDS}
    )
    run = await conversation.call("run_pytest", {"lab": LAB, "testcase": [TESTS]})
    await conversation.call("wait_for_watch", {"watch_id": watch_id(run), "max_wait_seconds": run_wait_seconds})
    reported = await _ask_other_things_until(watch_id(run), conversation, console)
    triage = await conversation.call("triage_execution", {"exec_id": execution_id(run)})
    if " is done" not in upgraded or reported is None or CAUSE not in triage:
        console.print("[bold red]The conversation did not go as it should.[/]")
        return 1
    console.print(f"[bold cyan]Assistant:[/] {escape(_answer(triage))}", soft_wrap=True)
    return 0


async def _ask_other_things_until(awaited: str, conversation: "Conversation", console: Console) -> str | None:
    """Continue the conversation until the end of a watch arrives on the result of another call."""
    for number in range(MAX_QUESTIONS):
        question, tool, arguments = OTHER_QUESTIONS[number % len(OTHER_QUESTIONS)]
        console.print(f"[bold cyan]You:[/] {question}\n")
        text = await conversation.call(tool, arguments)
        if awaited in text:
            console.print("[bold green]The end of the run arrived by itself, on the result of another call.[/]\n")
            return text
        await anyio.sleep(PAUSE_SECONDS)
    return None


@dataclass(slots=True)
class Conversation:
    """Calls tools like an assistant, and prints the calls and their results."""

    client: Client
    console: Console

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> str:
        """Call a tool, print the call and its result, and return the result's text."""
        call = ", ".join(f"{name}={json.dumps(value)}" for name, value in arguments.items())
        self.console.print(f"[bold yellow]{tool}[/]({call})", markup=True)
        columns = (SpinnerColumn(), BarColumn(bar_width=30), TextColumn("{task.description}"))
        # In a pipe there are no bars, only the results.
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as bars:
            bar = bars.add_task("", total=None)

            async def show(progress: float, total: float | None, message: str | None) -> None:
                bars.update(bar, completed=progress, total=total, description=message or "")

            result = await self.client.call_tool(tool, dict(arguments), progress_callback=show)
        text = text_of(result)
        self.console.print(quoted(text, self.console.width), markup=False, style="dim", soft_wrap=True)
        return text


def quoted(text: str, width: int) -> str:
    """Return a text as a quotation, wrapped to `width` columns, with an empty line behind it."""
    wrapped = (
        textwrap.wrap(line, width - len(QUOTE), subsequent_indent="  ", break_on_hyphens=False) or [""]
        for line in text.split("\n")
    )
    return "\n".join(f"{QUOTE}{part}".rstrip() for parts in wrapped for part in parts) + "\n"


def text_of(result: CallToolResult) -> str:
    """Return the text of a result."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def watch_id(text: str) -> str:
    """Return the id of the watch in a start's first line.

    Raises:
        ValueError: the text has none.
    """
    return _found(r"\[(w_\w+)\]", text)


def execution_id(text: str) -> int:
    """Return the id of the execution in a run's first line.

    Raises:
        ValueError: the text has none.
    """
    return int(_found(r"execution (\d+)", text))


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise ValueError(f"there is no {pattern} in: {text[:200]}")
    return match[1]


def _answer(triage: str) -> str:
    """Return an assistant's summary of a triage: its verdict."""
    return f"Build {BAD_BUILD} is on {LAB}. Of {TESTS}, {triage.splitlines()[0].partition(': ')[2]}"
