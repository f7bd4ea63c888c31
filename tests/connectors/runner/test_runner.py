import asyncio
import logging
import ssl
from typing import Any

import httpx2
import pytest

from tests.connectors.runner.conftest import Server
from tp_mcp.clock import SystemClock
from tp_mcp.connectors.runner import ConnectorRunner, transfer
from tp_mcp.errors import ConnectorError, InvalidArgumentError


async def test_an_unknown_tool_is_told_with_the_nearest(server: Server) -> None:
    async with server.tool({}) as runner:
        with pytest.raises(InvalidArgumentError, match=r"no tool 'cal' \(the nearest is call\). It has: call"):
            await runner.run("cal", {})


@pytest.mark.parametrize(
    ("answer", "said", "may_have_acted"),
    [
        (httpx2.Response(404, json={"error": "no such lift"}), '404. It said: "{"error":"no such lift"}"', False),
        (httpx2.Response(500, html="<h1>oops</h1>"), "call was answered with status 500.", True),
        (httpx2.Response(302, headers={"Location": "http://evil/"}), "Redirects are not followed", False),
        (httpx2.Response(403), "Check the login", False),
        (httpx2.ConnectError("s3cret-token"), "nothing was sent", False),
        (httpx2.ReadError("s3cret-token"), "broke before the POST was answered. It is unknown whether", True),
        (httpx2.ReadTimeout("s3cret-token"), "No answer came to the POST within 30 seconds", True),
        (httpx2.DecodingError("s3cret-token"), "broke before", True),
        (httpx2.InvalidURL("s3cret-token"), "URL of the request is invalid", False),
    ],
)
async def test_every_failure_is_one_error_without_secrets(
    server: Server, answer: Any, said: str, may_have_acted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers = [answer]
    request = {"method": "POST", "headers": {"X": "{settings.token}"}}
    with caplog.at_level(logging.DEBUG):
        async with server.tool(request, destructive=True) as runner:
            with pytest.raises(ConnectorError) as caught:
                await runner.run("call", {})
    assert said in str(caught.value)
    assert caught.value.may_have_acted is may_have_acted
    assert len(server.requests) == 1
    assert "s3cret" not in str(caught.value) + caplog.text
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


async def test_a_lost_read_may_be_asked_again(server: Server) -> None:
    server.answers = [httpx2.ReadError("x")]
    async with server.tool({}) as runner:
        with pytest.raises(ConnectorError, match="Try again") as caught:
            await runner.run("call", {})
    assert not caught.value.may_have_acted


async def test_an_answer_that_takes_too_long_ends_the_call(server: Server) -> None:
    async def slow(_request: httpx2.Request) -> httpx2.Response:
        await asyncio.sleep(30)
        raise AssertionError

    async with server.tool({}, timeout_ms=20) as runner:
        runner._transfer._transport = httpx2.MockTransport(slow)
        with pytest.raises(ConnectorError, match=r"within 0\.02 seconds"):
            await runner.run("call", {})


async def test_an_answer_that_is_too_large_is_not_read_to_its_end(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "ANSWER_MAX_BYTES", 100)
    server.answers = [httpx2.Response(200, content=b"x" * 101)]
    async with server.tool({}) as runner:
        with pytest.raises(ConnectorError, match="larger than 100 bytes"):
            await runner.run("call", {})


async def test_an_answer_that_is_nested_without_end_is_an_error(server: Server) -> None:
    server.answers = [httpx2.Response(200, content=b"[" * 201 + b"]" * 201)]
    async with server.tool({}) as runner:
        with pytest.raises(ConnectorError, match="more than 200 levels"):
            await runner.run("call", {})


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("Connected - {{user.name}} ({{count}}, {{nope}})", "Connected - Ann Lee (3, unknown)"),
        ("{{token}}", "[redacted]"),
        ("", "Connected"),
    ],
)
async def test_the_connection_test_says_what_the_connector_wants(server: Server, template: str, said: str) -> None:
    body = {"user": {"name": "Ann\nLee"}, "count": 3, "token": "s3cret-token"}
    server.answers = [httpx2.Response(200, json=body)]
    runner = with_test(server, {"ok_template": template})
    async with runner:
        assert await runner.test() == said
    assert server.last.url.path == "/me"


async def test_a_connection_test_that_fails_says_so(server: Server) -> None:
    server.answers = [httpx2.Response(401, json={"detail": "expired"})]
    async with with_test(server, {}) as runner:
        with pytest.raises(ConnectorError, match=r"test was answered with status 401\. It said"):
            await runner.test()


async def test_a_connector_without_a_test_says_so(server: Server) -> None:
    async with server.tool({}) as runner:
        assert await runner.test() == "The connector has no connection test."


def with_test(server: Server, keys: dict[str, Any]) -> ConnectorRunner:
    runner = server.tool({})
    request = {"method": "GET", "url": "{settings.base_url}/me"}
    manifest = type(runner.manifest).model_validate(
        {**runner.manifest.model_dump(by_alias=True), "test": {"request": request, **keys}}
    )
    runner.manifest = manifest
    return runner


def test_the_settings_that_messages_may_use_have_no_secret(server: Server) -> None:
    assert server.tool({}).public_settings == {"base_url": "http://lift.example"}


async def test_certificates_are_verified_unless_the_manifest_says_otherwise(
    server: Server, self_signed: ssl.SSLContext
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=self_signed)
    port = listening.sockets[0].getsockname()[1]
    async with listening:
        manifest = server.tool({}).manifest
        settings = {"base_url": f"https://127.0.0.1:{port}"}
        async with ConnectorRunner(manifest, settings, clock=SystemClock()) as runner:
            with pytest.raises(ConnectorError, match="No connection could be made"):
                await runner.run("call", {})
        trusting = manifest.model_copy(update={"http": manifest.http.model_copy(update={"verify_tls": False})})
        async with ConnectorRunner(trusting, settings, clock=SystemClock()) as runner:
            assert (await runner.run("call", {})).value == {}
