"""What did not fit into a result is a resource too, for whoever it belongs to."""

import re

import pytest
from mcp import MCPError
from mcp.types import TextResourceContents

from tests.server.conftest import IDENTITY, Chat
from tp_mcp.server.resources import PLACEHOLDER

URI = "tp://results/{id}"


async def read(chat: Chat, handle: str) -> str:
    (content,) = (await chat.client.read_resource(URI.replace(PLACEHOLDER, handle))).contents
    assert isinstance(content, TextResourceContents)
    return content.text


async def test_what_was_kept_is_read_as_a_resource_and_goes_on_with_the_tool(chat: Chat) -> None:
    templates = (await chat.client.list_resource_templates()).resource_templates
    assert URI in [template.uri_template for template in templates]
    text = "".join(f"line {number}\n" for number in range(2_000))
    handle = await chat.world.services.results.stored.keep(IDENTITY.principal, text, what="a result of get_execution")
    shown = await read(chat, handle)
    assert shown.startswith("Lines 1 to ")
    assert "\nline 0\nline 1\n" in shown
    cursor = re.findall(rf'read_result\(handle="{handle}", cursor="(\d+)"\) shows the next page\.$', shown)[0]
    assert (await chat.call("read_result", handle=handle, cursor=cursor)).startswith("Lines ")


async def test_the_log_of_a_run_is_a_resource(chat: Chat) -> None:
    exec_id = chat.world.rival_runs("Tests_CLI/test_poe.py")
    await chat.world.run_to_its_end(exec_id)
    await chat.call("get_execution", exec_id=exec_id)
    assert "test session starts" in await read(chat, f"log-{exec_id}")


async def test_what_is_not_there_and_what_is_another_principals_are_told_alike(chat: Chat) -> None:
    handle = await chat.world.services.results.stored.keep("local:mallory", "hers", what="a result")
    told = []
    for asked in (handle, "r_0000000000000000"):
        with pytest.raises(MCPError) as caught:
            await read(chat, asked)
        told.append(str(caught.value).replace(asked, "..."))
    assert told[0] == told[1]
