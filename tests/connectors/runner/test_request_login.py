import base64
from typing import Any

import httpx2
import pytest

from tests.connectors.runner.conftest import Server
from tp_mcp.connectors.runner import ConnectorRunner
from tp_mcp.errors import ConnectorError

EXCHANGE = {
    "type": "bearer-token-exchange",
    "api_token": "{settings.token}",
    "exchange_url": "{settings.base_url}/login",
    "exchange_headers": {"Accept": "application/vnd.lift+json"},
    "bearer_path": "data.bearer",
    "expires_path": "data.expires",
}


class Exchanging:
    """Hands out tokens, and answers other calls as told."""

    def __init__(self, server: Server, lifetime: Any = 7200) -> None:
        self.lifetime = lifetime
        self.count = 0
        self.refused = 0
        server.answers = [self.answer]

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/login":
            self.count += 1
            data: dict[str, Any] = {"bearer": f"bearer-{self.count}-of-lift", "expires": self.lifetime}
            data["expiresInMilliseconds"] = self.lifetime
            return httpx2.Response(200, json={"data": data})
        if self.refused:
            self.refused -= 1
            return httpx2.Response(401, json={"echo": request.headers["authorization"]})
        return httpx2.Response(200, json={"echo": request.headers["authorization"]})


def logging_in(server: Server, auth: dict[str, Any], **tool: Any) -> ConnectorRunner:
    plain = server.tool(tool.pop("request", {}), **tool)
    document = plain.manifest.model_dump(by_alias=True, exclude_none=True, mode="json")
    return server.runner({**document, "auth": auth}, base_url="http://lift.example", token="s3cret-token")


def headers_of(server: Server, path: str) -> list[str]:
    return [request.headers["authorization"] for request in server.requests if request.url.path == path]


async def test_basic_sends_user_and_password_and_hides_both_encodings(server: Server) -> None:
    server.answers = [lambda request: httpx2.Response(200, json={"echo": request.headers["authorization"][6:]})]
    auth = {"type": "basic", "username": "ann", "password": "{settings.token}"}
    async with logging_in(server, auth) as runner:
        answer = await runner.run("call", {})
    encoded = server.last.headers["authorization"].removeprefix("Basic ")
    assert base64.b64decode(encoded) == b"ann:s3cret-token"
    assert answer.value == {"echo": "[redacted]"}


async def test_basic_without_a_password_sends_an_empty_one(server: Server) -> None:
    auth = {"type": "basic", "username": "ann", "password": "{settings.pin}"}
    async with logging_in(server, auth, settings={"pin": {"type": "secret"}}) as runner:
        await runner.run("call", {})
    assert server.last.headers["authorization"] == "Basic " + base64.b64encode(b"ann:").decode()


async def test_a_request_s_own_header_outranks_the_log_in(server: Server) -> None:
    auth = {"type": "basic", "username": "ann", "password": "{settings.token}"}
    async with logging_in(server, auth, request={"headers": {"authorization": "JWT x"}}) as runner:
        await runner.run("call", {})
    assert server.last.headers.get_list("authorization") == ["JWT x"]


async def test_a_token_is_exchanged_once_and_hidden(server: Server) -> None:
    exchanging = Exchanging(server)
    async with logging_in(server, EXCHANGE) as runner:
        answers = [await runner.run("call", {}) for _ in range(3)]
    assert exchanging.count == 1
    assert headers_of(server, "/login") == ["Bearer s3cret-token"]
    assert server.requests[0].method == "POST"
    assert server.requests[0].headers["accept"] == "application/vnd.lift+json"
    assert headers_of(server, "/a") == ["Bearer bearer-1-of-lift"] * 3
    assert "bearer-1-of-lift" not in answers[0].text()


async def test_the_header_of_the_exchange_may_be_another(server: Server) -> None:
    Exchanging(server)
    auth = EXCHANGE | {"exchange_auth_header": "token {settings.token}", "exchange_method": "GET"}
    async with logging_in(server, auth) as runner:
        await runner.run("call", {})
    assert headers_of(server, "/login") == ["token s3cret-token"]
    assert server.requests[0].method == "GET"


async def test_an_exchange_needs_no_token_of_its_own(server: Server) -> None:
    Exchanging(server)
    auth = {key: value for key, value in EXCHANGE.items() if key != "api_token"}
    async with logging_in(server, auth) as runner:
        await runner.run("call", {})
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize(
    ("lifetime", "path", "seconds", "exchanges"),
    [
        (7200, "data.expires", 7000, 1),
        (7200, "data.expires", 7150, 2),
        ("7200", "data.expires", 7150, 2),
        (7_200_000, "data.expiresInMilliseconds", 7000, 1),
        (7_200_000, "data.expiresInMilliseconds", 7150, 2),
        (7200, None, 1_000_000, 1),
        (True, "data.expires", 1_000_000, 1),
        ("soon", "data.expires", 1_000_000, 1),
        (30, "data.expires", 1, 2),
    ],
)
async def test_a_token_is_exchanged_anew_before_it_ends(
    server: Server, lifetime: Any, path: str | None, seconds: float, exchanges: int
) -> None:
    exchanging = Exchanging(server, lifetime)
    auth = EXCHANGE | ({"expires_path": path} if path else {})
    if path is None:
        del auth["expires_path"]
    async with logging_in(server, auth) as runner:
        await runner.run("call", {})
        server.clock.time += seconds
        await runner.run("call", {})
    assert exchanging.count == exchanges


async def test_a_read_whose_token_was_refused_is_sent_once_more_with_a_new_one(server: Server) -> None:
    exchanging = Exchanging(server)
    async with logging_in(server, EXCHANGE) as runner:
        await runner.run("call", {})
        exchanging.refused = 1
        assert (await runner.run("call", {})).status == 200
        exchanging.refused = 2
        with pytest.raises(ConnectorError, match="status 401") as caught:
            await runner.run("call", {})
    assert "bearer-" not in str(caught.value)
    assert headers_of(server, "/a")[-4:] == [f"Bearer bearer-{number}-of-lift" for number in (1, 2, 2, 3)]


async def test_what_changes_the_world_is_never_sent_a_second_time(server: Server) -> None:
    exchanging = Exchanging(server)
    for request, destructive in (({"method": "POST"}, True), ({"method": "DELETE"}, False)):
        server.requests.clear()
        exchanging.refused = 1
        async with logging_in(server, EXCHANGE, request=request, destructive=destructive) as runner:
            with pytest.raises(ConnectorError, match="status 401"):
                await runner.run("call", {})
            assert len(headers_of(server, "/a")) == 1
            await runner.run("call", {})
        assert len(headers_of(server, "/login")) == 2


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx2.Response(403, text="s3cret-token is wrong"), "The login was refused with status 403"),
        (httpx2.Response(200, json={"data": {}}), "no token at data.bearer"),
        (httpx2.Response(200, json={"data": {"bearer": "a b"}}), "no token at data.bearer"),
        (httpx2.Response(200, json={"data": {"bearer": "a\r\nX: 1"}}), "no token at data.bearer"),
        (httpx2.Response(200, text="<html>"), "no token at data.bearer"),
    ],
)
async def test_a_log_in_that_does_not_work_is_told(server: Server, answer: httpx2.Response, said: str) -> None:
    server.answers = [answer]
    async with logging_in(server, EXCHANGE) as runner:
        with pytest.raises(ConnectorError, match=said) as caught:
            await runner.run("call", {})
    assert "s3cret" not in str(caught.value)
    assert len(server.requests) == 1
