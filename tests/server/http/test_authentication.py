"""Over HTTP: who is let in, whose what they ask for is, and how often they may ask."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from mcp.shared.exceptions import MCPError

from tests.server.http.conftest import Served, served_over_http
from tests.support.process import LAB
from tests.support.world import World
from tp_mcp.access.access_tokens import Tokens
from tp_mcp.errors import StoreError
from tp_mcp.server.auth.authentication import Authentication, Verifier, authenticated
from tp_mcp.server.auth.identity_provider import Provider, TokenChecker
from tp_mcp.server.auth.rate_limit import Limiting, RateLimit
from tp_mcp.server.identity import HttpIdentity

pytestmark = pytest.mark.slow

PUBLIC = "https://tp-mcp.example/mcp"
IDENTITY = HttpIdentity(principal_of=authenticated)
ERAS = pytest.mark.parametrize("mode", ["legacy", "auto"])
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}
ACCEPT = {"Accept": "application/json, text/event-stream"}


async def token_of(world: World, user: str) -> str:
    return (await world.services.access.tokens.add(f"{user}-1", user, days=None)).get_secret_value()


@pytest.fixture
async def guarded(world: World) -> AsyncIterator[Served]:
    async def tokens() -> Tokens:
        return world.services.access.tokens

    authentication = Authentication(Verifier(tokens=tokens), PUBLIC)
    async with served_over_http(world, IDENTITY, public_url=PUBLIC, authentication=authentication) as served:
        yield served


@ERAS
async def test_a_watch_is_its_users_alone_in_either_era(guarded: Served, mode: str) -> None:
    alice, bob = await token_of(guarded.world, "alice"), await token_of(guarded.world, "bob")
    async with guarded.chat(mode, alice) as hers, guarded.chat(mode, bob) as his:
        started = await hers.call("run_pytest", lab=LAB, testcase=["Tests_CLI/test_poe.py"])
        watch_id = started[1:11]
        theirs = await his.refused("wait_for_watch", watch_id=watch_id, max_wait_seconds=0)
        nobodys = await his.refused("wait_for_watch", watch_id="w_00000000", max_wait_seconds=0)
        assert theirs.replace(watch_id, "w_00000000") == nobodys
        assert watch_id not in await his.call("list_watches", all_conversations=True)
        assert watch_id in await hers.call("list_watches", all_conversations=True)


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer tpm_made_up", "Basic dXNlcjpwdw==", "JWT a.b.c"])
async def test_without_a_good_token_nothing_is_answered(guarded: Served, header: str | None) -> None:
    headers = {**ACCEPT, **({} if header is None else {"Authorization": header})}
    async with httpx2.AsyncClient(headers=headers) as client:
        for answer in (
            await client.post(guarded.url, json=HELLO),
            await client.get(guarded.url),
            await client.delete(guarded.url),
        ):
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
            assert "resource_metadata" not in answer.headers["WWW-Authenticate"]
    assert guarded.world.asked == []


async def test_a_revoked_token_is_no_good_at_once_also_in_an_open_session(guarded: Served) -> None:
    token = await token_of(guarded.world, "alice")
    async with guarded.chat("legacy", token) as chat:
        await chat.call("list_watches")
        await guarded.world.services.access.tokens.revoke("alice-1")
        with pytest.raises((MCPError, httpx2.HTTPError)):
            await chat.client.call_tool("list_watches", {})


async def test_a_session_is_no_good_with_another_users_token(guarded: Served) -> None:
    alice, bob = await token_of(guarded.world, "alice"), await token_of(guarded.world, "bob")
    async with httpx2.AsyncClient(headers=ACCEPT) as client:
        mine = {"Authorization": f"Bearer {alice}"}
        opened = await client.post(guarded.url, json=HELLO, headers=mine)
        session = {"Mcp-Session-Id": opened.headers["Mcp-Session-Id"], "MCP-Protocol-Version": "2025-11-25"}
        listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
        assert (await client.post(guarded.url, json=listing, headers={**mine, **session})).status_code == 200
        stolen = await client.post(guarded.url, json=listing, headers={**session, "Authorization": f"Bearer {bob}"})
        assert stolen.status_code in {403, 404}


async def test_alive_and_ready_need_no_token(guarded: Served) -> None:
    base = guarded.url.removesuffix("/mcp")
    async with httpx2.AsyncClient() as client:
        assert (await client.get(f"{base}/healthz")).status_code == 200
        assert (await client.get(f"{base}/readyz")).status_code == 200


@pytest.mark.parametrize(
    ("name", "let_in"),
    [
        ("tp-mcp.example", True),
        ("tp-mcp.example:443", True),
        ("127.0.0.1:9", True),
        ("evil.example", False),
        ("tp-mcp.example.evil", False),
    ],
)
async def test_it_answers_to_its_own_names_alone(guarded: Served, name: str, let_in: bool) -> None:
    headers = {**ACCEPT, "Authorization": f"Bearer {await token_of(guarded.world, 'alice')}", "Host": name}
    async with httpx2.AsyncClient(headers=headers) as client:
        answer = await client.post(guarded.url, json=HELLO)
    assert (answer.status_code == 200) is let_in


async def test_a_page_of_somebody_else_is_not_answered(guarded: Served) -> None:
    headers = {**ACCEPT, "Authorization": f"Bearer {await token_of(guarded.world, 'alice')}"}
    async with httpx2.AsyncClient(headers=headers) as client:
        theirs = await client.post(guarded.url, json=HELLO, headers={"Origin": "https://evil.example"})
        own = await client.post(guarded.url, json=HELLO, headers={"Origin": "https://tp-mcp.example"})
    assert (theirs.status_code, own.status_code) == (403, 200)


async def test_with_an_identity_provider_clients_are_told_of_it(world: World) -> None:
    provider = Provider("https://id.example/", "tp-mcp", "https://id.example/keys")

    def keys(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json={"keys": []})

    checker = TokenChecker(provider, world.services.clock, transport=httpx2.MockTransport(keys))
    authentication = Authentication(Verifier(checker=checker), PUBLIC, issuer=provider.issuer)
    async with (
        served_over_http(world, IDENTITY, public_url=PUBLIC, authentication=authentication) as served,
        httpx2.AsyncClient(headers=ACCEPT) as client,
    ):
        refused = await client.post(served.url, json=HELLO, headers={"Authorization": "Bearer e30.e30.e30"})
        assert refused.status_code == 401
        assert 'resource_metadata="https://tp-mcp.example/.well-known/' in refused.headers["WWW-Authenticate"]
        metadata = await client.get(served.url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp"))
        assert metadata.json()["resource"] == PUBLIC
        assert metadata.json()["authorization_servers"] == ["https://id.example/"]


async def test_while_nobody_can_tell_nobody_is_let_in(world: World) -> None:
    async def tokens() -> Tokens:
        raise StoreError("The store is closed.")

    authentication = Authentication(Verifier(tokens=tokens), PUBLIC)
    async with (
        served_over_http(world, IDENTITY, authentication=authentication) as served,
        httpx2.AsyncClient(headers={**ACCEPT, "Authorization": "Bearer tpm_x"}) as client,
    ):
        assert (await client.post(served.url, json=HELLO)).status_code == 401


@ERAS
async def test_who_asks_too_often_is_told_when_to_come_back_and_others_go_on(world: World, mode: str) -> None:
    async def tokens() -> Tokens:
        return world.services.access.tokens

    limiting = Limiting(RateLimit(world.services.clock, per_minute=20), IDENTITY)
    authentication = Authentication(Verifier(tokens=tokens), PUBLIC)
    async with served_over_http(world, IDENTITY, authentication=authentication, limiting=limiting) as served:
        alice, bob = await token_of(world, "alice"), await token_of(world, "bob")
        async with served.chat(mode, alice) as hers, served.chat(mode, bob) as his:
            results = [await hers.client.call_tool("list_watches", {}) for _ in range(25)]
            assert not results[0].is_error
            assert results[-1].is_error
            assert "Wait 3 s, and ask less often" in results[-1].model_dump_json()
            with pytest.raises(MCPError, match="Too many requests"):
                await hers.client.read_resource("tp://inbox")
            await his.call("list_watches")
            await world.advance(60)
            await hers.call("list_watches")
