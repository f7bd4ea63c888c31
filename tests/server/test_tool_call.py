"""Calls through a real client: what comes back, whatever goes wrong."""

import logging
from contextlib import nullcontext
from typing import Any

import pytest
from pydantic import SecretStr

from tests.server.conftest import IDENTITY, Chat, Connect
from tests.support.process import LAB
from tests.support.world import World
from tp_mcp.clock import SystemClock
from tp_mcp.errors import StoreError, TpMcpError
from tp_mcp.results.document import Document, ItemList, LogExcerpt, Paragraph
from tp_mcp.server.app import TpServer
from tp_mcp.server.backend import Backend
from tp_mcp.server.toolset import DEFAULT_TOOLS
from tp_mcp.tools.framework.arguments import ToolArguments
from tp_mcp.tools.framework.definition import Call, ToolDefinition

SECRET = "demo-password"


class NoArguments(ToolArguments):
    """Nothing."""


def tool(run: Any) -> tuple[ToolDefinition[Any], ...]:
    return (ToolDefinition("probe", "Probe", "A tool of these tests.", NoArguments, run, read_only=True),)


async def test_a_result_is_one_text_in_both_protocol_eras(chat: Chat) -> None:
    assert (await chat.call("list_labs")).startswith("4 labs that demo may use; 4 available.")


async def test_a_refusal_is_a_result_marked_as_an_error_in_plain_words(chat: Chat) -> None:
    text = await chat.refused("run_pytest", lab=LAB, testcase=[])
    assert text.startswith("run_pytest was not called: testcase has 0 items, but must have at least 1.")
    assert text.endswith("Correct the call and repeat it.")
    assert chat.world.asked == []


async def test_an_unknown_tool_is_refused_with_the_nearest_and_all(chat: Chat) -> None:
    text = await chat.refused("wait_for_watches")
    assert text.startswith("There is no tool 'wait_for_watches'.\n\nDid you mean wait_for_watch")
    assert "There are: list_labs, start_upgrade, " in text
    assert (await chat.refused("zzz")).startswith("There is no tool 'zzz'.\n\nThere are: list_labs")


async def test_a_tool_that_this_server_leaves_out_is_not_said_to_be_unknown(connect: Connect) -> None:
    reading = tuple(definition for definition in DEFAULT_TOOLS if definition.read_only)
    async with connect(tools=reading) as chat:
        for name in ("start_upgrade", "lock_lab"):
            text = await chat.refused(name)
            assert text.startswith(f"This server does not offer {name}.\n\nIts operator decides: it may be read-only")
            assert "There are: list_labs, get_upgrade, " in text


async def test_an_unexpected_error_never_shows_its_words(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    async def fail(_: NoArguments, __: Call) -> Document:
        raise RuntimeError("inside information")

    async with connect(tools=tool(fail)) as chat:
        text = await chat.refused("probe")
    assert text.startswith("probe failed for an internal reason; what happened is in the server's log.")
    assert "list_watches" in text
    assert "inside information" not in text
    assert "inside information" in caplog.text


async def test_secrets_are_taken_out_of_results_and_errors(connect: Connect) -> None:
    async def show(_: NoArguments, __: Call) -> Document:
        return Document(
            f"a {SECRET}",
            (
                Paragraph(f"b {SECRET}"),
                ItemList(heading="c", items=(f"d {SECRET}",)),
                LogExcerpt(heading=f"e {SECRET}", text=f"f {SECRET}"),
            ),
            f"g {SECRET}",
        )

    async def fail(_: NoArguments, __: Call) -> Document:
        raise TpMcpError(f"a {SECRET}", remedy=f"b {SECRET}")

    async with connect(tools=tool(show)) as chat:
        text = await chat.call("probe")
        assert SECRET not in text
        assert text.count("[redacted]") == 6
    async with connect(tools=tool(fail)) as chat:
        assert await chat.refused("probe") == "a [redacted]\n\nb [redacted]"


async def test_a_secret_that_is_learnt_during_a_call_is_taken_out_of_its_result(connect: Connect) -> None:
    async def show(_: NoArguments, call: Call) -> Document:
        call.services.tp.client.secrets.learn(SecretStr("just-learnt"))
        return Document("a just-learnt")

    async with connect(tools=tool(show)) as chat:
        assert await chat.call("probe") == "a [redacted]"


async def test_an_inbox_that_cannot_be_read_does_not_break_a_result(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise StoreError("The store is gone.")

    monkeypatch.setattr(chat.world.services.watches.inbox, "begin", broken)
    monkeypatch.setattr(chat.world.services.watches.inbox, "first_to_show", broken)
    with caplog.at_level(logging.WARNING):
        assert (await chat.call("list_labs")).startswith("4 labs")
    assert caplog.text.count("The inbox could not be read") == 2


async def test_progress_reaches_a_client_that_asked_for_it(chat: Chat) -> None:
    seen: list[tuple[float, float | None, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    watch_id = (await chat.call("start_upgrade", testbed=LAB, mode="build", build_number="6955"))[1:11]
    arguments = {"watch_id": watch_id, "max_wait_seconds": 0}
    await chat.client.call_tool("wait_for_watch", arguments, progress_callback=note)
    assert seen == [(0.0, None, f"upgrade of {LAB} to build 6955: started, not polled yet, 0 s")]


async def test_what_the_process_is_does_not_show_in_a_schema_or_a_result(chat: Chat) -> None:
    await chat.call("start_upgrade", testbed=LAB, mode="build", build_number="6955")
    text = await chat.call("list_watches")
    assert "local:alice" not in text
    assert "chat-1" not in text


async def test_a_tool_cannot_be_called_without_a_connection(world: World) -> None:
    clock = SystemClock()
    server = TpServer(Backend(lambda: nullcontext(world.services), clock), IDENTITY, clock, lambda: ())
    with pytest.raises(ValueError, match="over a connection"):
        await server.call_tool("list_labs", {})
