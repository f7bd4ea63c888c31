"""Watches and the inbox as resources: readable on both eras, private, within the limits of a result, and no showing."""

from contextlib import AbstractAsyncContextManager

import pytest
from mcp import Client, MCPError
from mcp.types import TextResourceContents

from tests.server.conftest import IDENTITY, Chat, Connect
from tests.support.process import LAB
from tp_mcp.clock import SystemClock
from tp_mcp.errors import ConfigurationError
from tp_mcp.results.limits import RESULT_MAX_BYTES, RESULT_MAX_CHARACTERS
from tp_mcp.server.app import TpServer
from tp_mcp.server.backend import Backend
from tp_mcp.server.identity import ProcessIdentity
from tp_mcp.server.rendering import INBOX_HEADING
from tp_mcp.server.toolset import DEFAULT_TOOLS
from tp_mcp.tools.framework.services import Services

BUILD = {"testbed": LAB, "mode": "build", "build_number": "6955"}
NOT_FOUND = -32602
FAILED = -32603


async def read(chat: Chat, uri: str) -> str:
    (content,) = (await chat.client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    assert content.uri == uri
    assert content.mime_type == "text/plain"
    return content.text


async def refused(chat: Chat, uri: str) -> MCPError:
    with pytest.raises(MCPError) as caught:
        await chat.client.read_resource(uri)
    return caught.value


async def test_the_inbox_is_listed_and_watches_are_a_family(chat: Chat) -> None:
    assert [resource.uri for resource in (await chat.client.list_resources()).resources] == ["tp://inbox"]
    templates = (await chat.client.list_resource_templates()).resource_templates
    assert "tp://watches/{id}" in [template.uri_template for template in templates]


async def test_a_watch_is_read_while_it_goes_on_and_after_its_end(chat: Chat) -> None:
    watch_id = (await chat.call("start_upgrade", **BUILD))[1:11]
    await chat.world.advance(60)
    going_on = await read(chat, f"tp://watches/{watch_id}")
    assert going_on.startswith(f"[{watch_id}] upgrade of {LAB} to build 6955 is under way")
    await chat.world.advance(400)
    ended = await read(chat, f"tp://watches/{watch_id}")
    assert ended.startswith(f"[{watch_id}] upgrade of {LAB} to build 6955 is done, after ")


async def test_the_inbox_is_read_newest_first_and_reading_it_is_no_showing(chat: Chat) -> None:
    assert (await read(chat, "tp://inbox")).startswith("No watch of this conversation has ended")
    first = (await chat.call("start_upgrade", **BUILD))[1:11]
    await chat.world.advance(400)
    second = (await chat.call("start_upgrade", **BUILD | {"build_number": "6956"}))[1:11]
    await chat.world.advance(400)
    for _ in range(5):
        text = await read(chat, "tp://inbox")
        assert text.startswith("2 watches have ended unseen")
        assert text.index(second) < text.index(first)
    assert INBOX_HEADING in await chat.call("list_labs")


@pytest.mark.parametrize(
    "uri",
    [
        "tp://watches/w_00000000",
        "tp://watches/",
        "tp://inbox/x",
        "tp://nothing",
        "file:///etc/passwd",
        "tp://watches/../inbox",
    ],
)
async def test_what_is_not_there_is_said_to_be_missing(chat: Chat, uri: str) -> None:
    error = await refused(chat, uri)
    assert error.code == NOT_FOUND
    assert error.message.startswith("There is no ")


async def test_a_uri_of_any_length_is_quoted_in_part(chat: Chat) -> None:
    assert len((await refused(chat, "tp://watches/" + "x" * 100_000)).message) < 9_000
    assert len((await refused(chat, "tp://" + "x" * 100_000)).message) < 1_000


async def test_another_principals_watch_is_as_missing_as_one_that_never_was(connect: Connect) -> None:
    async with connect() as alice:
        watch_id = (await alice.call("start_upgrade", **BUILD))[1:11]
        await alice.world.advance(400)
    async with connect(identity=ProcessIdentity("local:bob", IDENTITY.conversation, IDENTITY.project)) as bob:
        theirs, nobodys = [(await refused(bob, f"tp://watches/{each}")) for each in (watch_id, "w_00000000")]
        assert theirs.message.replace(watch_id, "w_00000000") == nobodys.message
        assert theirs.code == nobodys.code
        assert (await read(bob, "tp://inbox")).startswith("No watch")


async def test_the_inbox_of_another_conversation_is_another_one(connect: Connect) -> None:
    async with connect() as chat:
        await chat.call("start_upgrade", **BUILD)
        await chat.world.advance(400)
    async with connect(identity=ProcessIdentity("local:alice", "chat-2", IDENTITY.project)) as other:
        assert (await read(other, "tp://inbox")).startswith("No watch")


async def test_what_is_read_keeps_the_limits_of_a_result_and_shows_no_secret(chat: Chat) -> None:
    await chat.call("start_upgrade", **BUILD)
    await chat.world.advance(60)
    password = chat.world.simulator.state.users["demo"].password
    for number in range(70):
        message = f"{password} number {number} {'x' * 250}"
        await chat.call("start_watch", tool="get_upgrade", args={"testbed": LAB}, message=message)
    await chat.world.advance(400)
    text = await read(chat, "tp://inbox")
    assert text.startswith("71 watches have ended")
    assert 'list_watches(state="ended") lists them' in text
    assert len(text) <= RESULT_MAX_CHARACTERS
    assert len(text.encode()) <= RESULT_MAX_BYTES
    assert password not in text


async def test_a_watch_of_another_tp_is_told_as_such(chat: Chat) -> None:
    watch_id = (await chat.call("start_upgrade", **BUILD))[1:11]
    chat.world.services.watches.registry._server = "http://other.example"
    assert "which this server does not poll" in await read(chat, f"tp://watches/{watch_id}")


async def test_a_reading_that_fails_for_an_unforeseen_reason_tells_nothing_of_it(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("s3cret detail")

    monkeypatch.setattr(chat.world.services.watches.inbox, "to_show", broken)
    error = await refused(chat, "tp://inbox")
    assert error.code == FAILED
    assert "internal error" in error.message
    assert "s3cret" not in error.message


async def test_a_resource_that_cannot_be_read_says_why() -> None:
    def unconfigured() -> AbstractAsyncContextManager[Services]:
        raise ConfigurationError("No TP is configured.", remedy="Set TP_MCP_BASE_URL.")

    clock = SystemClock()
    server = TpServer(Backend(unconfigured, clock), IDENTITY, clock, lambda: DEFAULT_TOOLS)
    async with Client(server) as client:
        with pytest.raises(MCPError) as caught:
            await client.read_resource("tp://inbox")
        assert "Set TP_MCP_BASE_URL" in caught.value.message
        assert caught.value.code == FAILED
