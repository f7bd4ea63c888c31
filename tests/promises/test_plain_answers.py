"""Whatever is sent to the HTTP server, no answer of it has a stack trace, a path or a secret in it, and it goes on."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import stamina
from pydantic import JsonValue

from tests.promises.team import Team, open_team
from tests.support.process import hosted
from tests.support.world import collected_tree, open_world
from tp_mcp.server.http.capacity import MAX_BODY_BYTES

ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
MODERN = {**ACCEPT, "MCP-Protocol-Version": "2026-07-28"}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
LEAKS = re.compile(
    r"Traceback|File \\?\"/|\.py\b|/tmp/|/home/|/root/|site-packages|tp_mcp\.|0x[0-9a-f]{8,}|sqlite",
)
SHOWN_CHARACTERS = 4_000


def rpc(method: str, params: Any = None, **fields: Any) -> bytes:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, **({} if params is None else {"params": params}), **fields}
    return json.dumps(message).encode()


BODIES: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"{",
    "no text": b"\xff\xfe\x00",
    "null": b"null",
    "a number": b"7",
    "a list": b"[]",
    "a batch": b"[" + rpc("tools/list") + b"]",
    "nested": b"[" * 100_000,
    "nested objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "half a surrogate": rpc("tools/call", {"name": "list_labs", "arguments": {"search": "\ud800"}, "_meta": META}),
    "a huge number": b'{"jsonrpc": "2.0", "id": ' + b"9" * 5_000 + b', "method": "tools/list"}',
    "not a number": b'{"jsonrpc": "2.0", "id": NaN, "method": "tools/list"}',
    "no method": b'{"jsonrpc": "2.0", "id": 1}',
    "another version": rpc("tools/list", jsonrpc="1.0"),
    "an unknown method": rpc("tools/evil", {"_meta": META}),
    "a method of Python": rpc("__class__.__init__", {"_meta": META}),
    "parameters of another type": rpc("tools/call", [1]),
    "arguments of another type": rpc("tools/call", {"name": "list_labs", "arguments": "x", "_meta": META}),
    "no name": rpc("tools/call", {"arguments": {}, "_meta": META}),
    "a name of another type": rpc("tools/call", {"name": {"a": 1}, "_meta": META}),
    "an unknown tool": rpc("tools/call", {"name": "../../etc/passwd", "arguments": {}, "_meta": META}),
    "an unknown resource": rpc("resources/read", {"uri": "file:///etc/passwd", "_meta": META}),
    "no URI": rpc("resources/read", {"uri": 7, "_meta": META}),
    "a protocol that is not": rpc(
        "initialize", {"protocolVersion": "1999-01-01", "capabilities": {}, "clientInfo": {}}
    ),
    "an unknown task": rpc("tasks/get", {"taskId": "x", "_meta": META}),
    "an unknown prompt": rpc("prompts/get", {"name": "x", "_meta": META}),
    "a cursor of nobody": rpc("tools/list", {"cursor": "../x", "_meta": META}),
    "a filter of another type": rpc("subscriptions/listen", {"notifications": 7, "_meta": META}),
}


@pytest.fixture(scope="module")
def tree() -> JsonValue:
    return collected_tree()


@pytest.fixture(autouse=True)
def no_waiting() -> Any:
    with stamina.set_testing(True, attempts=2, cap=True):
        yield


@pytest.fixture
async def team(tmp_path: Path, tree: JsonValue) -> AsyncIterator[Team]:
    async with hosted(open_world(tmp_path, tree=tree)) as world, hosted(open_team(world)) as opened:
        yield opened


def assert_plain(team: Team, answer: httpx2.Response, what: str) -> None:
    shown = f"{dict(answer.headers)} {answer.text}"
    assert not (found := LEAKS.search(shown)), (what, found, shown[:SHOWN_CHARACTERS])
    assert team.alice.token not in shown
    assert team.world.simulator.state.users["demo"].password not in shown
    assert len(shown) < SHOWN_CHARACTERS, (what, len(shown))


@pytest.mark.parametrize("headers", [ACCEPT, MODERN], ids=["handshake", "modern"])
async def test_no_malformed_request_is_answered_with_more_than_plain_words(team: Team, headers: dict[str, str]) -> None:
    let_in = {**headers, "Authorization": f"Bearer {team.alice.token}"}
    async with httpx2.AsyncClient(headers=let_in, timeout=20) as client:
        for what, body in BODIES.items():
            answer = await client.post(team.served.url, content=body)
            assert answer.status_code < 500, (what, answer.status_code, answer.text[:300])
            assert_plain(team, answer, what)
        for method in ("PUT", "PATCH", "OPTIONS", "DELETE"):
            assert_plain(team, await client.request(method, team.served.url), method)
        for path in ("/", "/mcp/../../etc/passwd", "/mcp/%2e%2e/x", "/healthz/x", "/.git/config"):
            assert_plain(team, await client.get(team.served.url.removesuffix("/mcp") + path), path)
    async with team.alice.chat() as chat:
        assert "labs" in await chat.call("list_labs")


async def test_bodies_and_headers_have_their_limits(team: Team) -> None:
    let_in = {**ACCEPT, "Authorization": f"Bearer {team.alice.token}"}
    async with httpx2.AsyncClient(headers=let_in, timeout=20) as client:
        large = await client.post(team.served.url, content=b" " * (MAX_BODY_BYTES + 1))
        assert large.status_code == 413
        assert_plain(team, large, "a large body")
        try:
            headers = await client.post(team.served.url, content=b"{}", headers={"X-Long": "x" * 200_000})
        except httpx2.HTTPError:
            # Dropped in the middle of it: as good.
            pass
        else:
            assert headers.status_code in {400, 431}
            assert_plain(team, headers, "a large header")
    async with team.alice.chat() as chat:
        assert "labs" in await chat.call("list_labs")
