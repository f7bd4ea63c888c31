"""Which conversation a request belongs to."""

from typing import Any, cast

import pytest
from mcp.types import RequestParamsMeta

from tests.server.conftest import Chat, Connect, text_of
from tests.support.process import LAB
from tp_mcp.server.identity import META_KEYS, ProcessIdentity
from tp_mcp.watch.model.watch import Owner

NAMED = ProcessIdentity("local:alice", "chat-1", "/home/alice/project")
UNNAMED = ProcessIdentity("local:alice", None, "/home/alice/project")


@pytest.mark.parametrize("key", META_KEYS)
def test_a_conversation_that_the_request_names_outranks_the_environment(key: str) -> None:
    assert NAMED.owner({key: "t-1"}) == Owner("local:alice", f"{key}:t-1", exact=True)


@pytest.mark.parametrize("meta", [None, {}, {"threadId": ""}, {"threadId": 7}, {"other": "t-1"}])
def test_the_environment_names_the_conversation_where_the_request_does_not(meta: dict[str, Any] | None) -> None:
    assert NAMED.owner(meta) == Owner("local:alice", "environment:chat-1", exact=True)


def test_where_nothing_names_a_conversation_the_project_is_a_key_that_two_chats_may_share() -> None:
    assert UNNAMED.owner(None) == Owner("local:alice", "project:/home/alice/project", exact=False)


def test_the_first_known_key_counts() -> None:
    assert UNNAMED.owner({"sessionId": "s", "threadId": "t"}).conversation == "threadId:t"


@pytest.mark.parametrize(
    "name", ["x" * 129, "x" * 1_000_000, "\N{PILE OF POO}" * 200, "\ud800" * 200, "\ud800", "a\nb"]
)
def test_a_name_that_is_too_long_or_no_text_becomes_a_digest_of_its_own(name: str) -> None:
    key = UNNAMED.owner({"threadId": name}).conversation
    assert key.startswith("threadId:sha256:")
    assert len(key) == len("threadId:sha256:") + 64
    assert key == UNNAMED.owner({"threadId": name}).conversation
    assert key != UNNAMED.owner({"threadId": name + "!"}).conversation


@pytest.mark.parametrize("key", META_KEYS)
async def test_watches_belong_to_the_conversation_that_a_request_names(chat: Chat, key: str) -> None:
    async def watches(name: str) -> str:
        meta = cast(RequestParamsMeta, {key: name})
        return text_of(await chat.client.call_tool("list_watches", {}, meta=meta))

    build = {"testbed": LAB, "mode": "build", "build_number": "6955"}
    meta = cast(RequestParamsMeta, {key: "one"})
    await chat.client.call_tool("start_upgrade", build, meta=meta)
    assert (await watches("one")).startswith("1 watch in this conversation")
    assert (await watches("two")).startswith("There is no watch in this conversation.")


async def test_on_a_shared_key_an_end_is_told_until_a_call_names_it(connect: Connect) -> None:
    async with connect(identity=UNNAMED) as chat:
        watch_id = (await chat.call("start_upgrade", testbed=LAB, mode="build", build_number="6955"))[1:11]
        await chat.world.advance(400)
        for _ in range(4):
            assert f"[{watch_id}]" in await chat.call("list_labs")
        await chat.call("wait_for_watch", watch_id=watch_id)
        assert f"[{watch_id}]" not in await chat.call("list_labs")
