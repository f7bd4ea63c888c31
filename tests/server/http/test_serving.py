"""MCP over HTTP on a real port: both eras, what is refused, and whether the server is alive and ready."""

import json
from typing import Any

import httpx2
import pytest

from tests.server.http.conftest import HOST, Served
from tests.support.process import LAB
from tp_mcp.server.http.capacity import MAX_BODY_BYTES, READY_SECONDS
from tp_mcp.server.rendering import INBOX_HEADING

pytestmark = pytest.mark.slow

BUILD = {"testbed": LAB, "mode": "build", "build_number": "6955"}
HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}


async def get(served: Served, path: str, **headers: str) -> httpx2.Response:
    async with httpx2.AsyncClient(base_url=f"http://{HOST}:{served.port}") as client:
        return await client.get(path, headers=headers)


async def post(served: Served, content: bytes, **headers: str) -> httpx2.Response:
    async with httpx2.AsyncClient() as client:
        return await client.post(served.url, content=content, headers={**HEADERS, **headers})


def initialize() -> bytes:
    params: dict[str, Any] = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}).encode()


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_conversation_of_each_era_starts_waits_and_is_told_the_end(served: Served, mode: str) -> None:
    async with served.chat(mode) as chat:
        watch_id = (await chat.call("start_upgrade", **BUILD))[1:11]
        assert "is under way" in await chat.call("wait_for_watch", watch_id=watch_id, max_wait_seconds=0)
        await served.world.advance(400)
        assert f"{INBOX_HEADING}\n[{watch_id}]" in await chat.call("list_labs")


async def test_many_clients_share_one_server(served: Served) -> None:
    async with served.chat("legacy") as one, served.chat("legacy") as two, served.chat() as three:
        watch_id = (await one.call("start_upgrade", **BUILD))[1:11]
        assert "There is no watch in this conversation" in await two.call("list_watches")
        assert watch_id in await three.call("list_watches", all_conversations=True)
        await served.world.advance(400)
        assert INBOX_HEADING not in await two.call("list_labs")
        assert INBOX_HEADING in await one.call("list_labs")


@pytest.mark.parametrize(("header", "value", "status"), [("host", "evil.example", 421), ("origin", "http://evil", 403)])
async def test_a_page_from_elsewhere_is_refused(served: Served, header: str, value: str, status: int) -> None:
    assert (await post(served, initialize(), **{header: value})).status_code == status


async def test_a_body_that_is_too_large_is_refused(served: Served) -> None:
    assert (await post(served, b" " * (MAX_BODY_BYTES + 1))).status_code == 413


async def test_it_says_that_it_is_alive(served: Served) -> None:
    response = await get(served, "/healthz")
    assert (response.status_code, response.json()) == (200, {"alive": True})


async def test_it_says_that_it_is_ready_and_looks_at_tp_once_in_a_while(served: Served) -> None:
    responses = [await get(served, "/readyz") for _ in range(3)]
    assert {response.status_code for response in responses} == {200}
    assert responses[0].json() == {"ready": True, "store": "open", "tp": "answers"}
    assert served.world.asked.count("list_labs") == 1
    await served.world.advance(READY_SECONDS + 1)
    await get(served, "/readyz")
    assert served.world.asked.count("list_labs") == 2


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"kind": "drop"}, "not reached"),
        ({"status": 403}, "does not let the server in"),
        ({"status": 500}, "answers, but not as expected"),
    ],
)
async def test_it_says_why_it_is_not_ready_without_what_tp_said(
    served: Served, fault: dict[str, Any], said: str
) -> None:
    served.world.fault("list_labs", **fault)
    response = await get(served, "/readyz")
    assert (response.status_code, response.json()) == (503, {"ready": False, "store": "open", "tp": said})


async def test_while_it_closes_it_is_not_ready(served: Served) -> None:
    await served.backend.close()
    response = await get(served, "/readyz")
    assert (response.status_code, response.json()["store"]) == (503, "closing")


async def test_what_a_session_left_is_told_to_the_next_one_until_a_call_names_it(served: Served) -> None:
    async with served.chat("legacy") as before:
        watch_id = (await before.call("start_upgrade", **BUILD))[1:11]
    await served.world.advance(400)
    await swept(served)
    async with served.chat("legacy") as again, served.chat() as sessionless:
        for chat in (again, sessionless, again):
            assert f"{INBOX_HEADING}\n[{watch_id}]" in await chat.call("list_labs")
        assert watch_id in await again.call("list_watches")
        await again.call("wait_for_watch", watch_id=watch_id)
        assert INBOX_HEADING not in await again.call("list_labs")


async def test_a_session_that_lives_keeps_its_conversation_however_long_it_is_silent(served: Served) -> None:
    async with served.chat("legacy") as quiet, served.chat("legacy") as other:
        watch_id = (await quiet.call("start_upgrade", **BUILD))[1:11]
        await served.world.advance(7_200)
        await swept(served)
        assert INBOX_HEADING not in await other.call("list_labs")
        assert watch_id in await quiet.call("list_labs")


async def swept(served: Served) -> None:
    """Let the server notice which sessions are gone."""

    async def leave(prefix: str, but_for: frozenset[str]) -> None:
        await served.world.services.watches.store.leave(prefix, but_for=but_for, to_key="http")

    await served.sessions.sweep(leave)
