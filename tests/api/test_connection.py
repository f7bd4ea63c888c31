"""Against a real socket: dropped connections, slow answers, bodies without end, TLS."""

import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from pydantic import SecretStr

from tp_mcp.api import client as client_module
from tp_mcp.api import endpoints
from tp_mcp.api.auth import IssuedToken
from tp_mcp.api.client import TpClient
from tp_mcp.api.requests import PytestRequest
from tp_mcp.clock import SystemClock
from tp_mcp.errors import TpNotJsonError, TpRefusedError, TpTimeoutError, TpUnreachableError

Writer = asyncio.StreamWriter
Behaviour = Callable[[Writer], Awaitable[None]]
TLS_HELLO = b"\x16"
RUN = PytestRequest.checked(lab="AT16", testcase=["a"])


def head(length: int | None, *more: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", *more]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@dataclass
class Seen:
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def serving(behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[str, Seen]]:
    """Serve every request with `behaviour`; yield the address and what was seen."""
    seen = Seen()

    async def serve(reader: asyncio.StreamReader, writer: Writer) -> None:
        seen.connections += 1
        try:
            while True:
                first = await reader.readexactly(1)
                if first == TLS_HELLO:
                    writer.write(head(0, status="400 Bad Request"))
                    return
                request = first + await reader.readuntil(b"\r\n\r\n")
                length = [line for line in request.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                body = await reader.readexactly(int(length[0].split(b":")[1])) if length else b""
                seen.requests.append(request + body)
                await behaviour(writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}", seen


def client_of(base_url: str) -> TpClient:
    return TpClient.at(
        base_url=base_url, credentials=IssuedToken(SecretStr("a.eyJ1c2VybmFtZSI6ImRlbW8ifQ.c")), clock=SystemClock()
    )


async def drop(writer: Writer) -> None:
    writer.transport.abort()


async def drop_half_way(writer: Writer) -> None:
    writer.write(head(100) + b'{"exec_id": 4')
    await writer.drain()
    writer.close()


async def say_nothing(writer: Writer) -> None:
    await asyncio.sleep(30)


async def drip(writer: Writer) -> None:
    writer.write(head(10_000))
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def never_end(writer: Writer) -> None:
    writer.write(head(None))
    while not writer.is_closing():
        writer.write(b" " * 65_536)
        await writer.drain()


async def answer_well(writer: Writer) -> None:
    body = json.dumps({"exec_id": 446, "status": "Running"}).encode()
    writer.write(head(len(body)) + body)


async def answer_compressed(writer: Writer) -> None:
    body = gzip.compress(json.dumps({"exec_id": 446}).encode())
    writer.write(head(len(body), "Content-Encoding: gzip") + body)


async def answer_with_a_bomb(writer: Writer) -> None:
    body = gzip.compress(b" " * 20_000_000)
    writer.write(head(len(body), "Content-Encoding: gzip") + body)


async def answer_with_broken_compression(writer: Writer) -> None:
    writer.write(head(5, "Content-Encoding: gzip") + b"hello")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = (replace(each, timeout_seconds=0.3) for each in (endpoints.GET_EXECUTION, endpoints.START_PYTEST))
    monkeypatch.setattr(endpoints, "START_PYTEST", write)
    monkeypatch.setattr(client_module, "ENDPOINTS", dict(endpoints.ENDPOINTS) | {read.name: read})


async def test_connections_are_kept_and_shared() -> None:
    async with serving(answer_well) as (base_url, seen), client_of(base_url) as client:
        for _ in range(3):
            assert (await client.get_execution(446)).exec_id == 446
        view = client.without_retries()
        assert (await view.get_execution(446)).exec_id == 446
    assert (seen.connections, len(seen.requests)) == (1, 4)
    assert seen.requests[0].startswith(b"GET /adc/automation/pytest/446/ HTTP/1.1\r\n")
    assert b"authorization: jwt a.eyj" in seen.requests[0].lower()


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (drop, TpUnreachableError),
        (drop_half_way, TpUnreachableError),
        (say_nothing, TpTimeoutError),
        (drip, TpTimeoutError),
        (never_end, TpNotJsonError),
        (answer_with_a_bomb, TpNotJsonError),
        (answer_with_broken_compression, TpNotJsonError),
    ],
    ids=lambda each: each.__name__,
)
@pytest.mark.usefixtures("impatient")
async def test_a_write_that_got_no_whole_answer_may_have_acted_and_was_sent_once(
    behaviour: Behaviour, kind: type[TpUnreachableError]
) -> None:
    async with serving(behaviour) as (base_url, seen), client_of(base_url) as client:
        with pytest.raises(kind) as caught:
            await client.start_pytest(RUN)
        assert type(caught.value) is kind
        assert caught.value.may_have_acted
        assert len(seen.requests) == 1
        with pytest.raises(kind) as caught:
            await client.without_retries().get_execution(446)
        assert not caught.value.may_have_acted


async def test_a_compressed_answer_is_read() -> None:
    async with serving(answer_compressed) as (base_url, _), client_of(base_url) as client:
        assert (await client.get_execution(446)).exec_id == 446


async def test_a_tp_that_is_down_refuses_before_anything_is_sent() -> None:
    async with serving(answer_well) as (base_url, _):
        pass
    async with client_of(base_url) as client:
        with pytest.raises(TpRefusedError, match="nothing was sent") as caught:
            await client.start_pytest(RUN)
    assert not caught.value.may_have_acted


async def test_a_host_that_does_not_exist_is_named() -> None:
    async with client_of("http://no-such-host.invalid:8000") as client:
        with pytest.raises(TpRefusedError, match=r"no-such-host\.invalid:8000 could not be resolved"):
            await client.without_retries().get_execution(446)


async def test_a_server_without_tls_is_not_spoken_to_without_it() -> None:
    async with serving(answer_well) as (base_url, seen), client_of(base_url.replace("http:", "https:")) as client:
        with pytest.raises(TpRefusedError, match="TLS"):
            await client.without_retries().start_pytest(RUN)
        assert seen.requests == []


async def test_a_certificate_that_nobody_vouches_for_is_refused(self_signed: ssl.SSLContext) -> None:
    async with serving(answer_well, self_signed) as (base_url, seen), client_of(base_url) as client:
        with pytest.raises(TpRefusedError, match="certificate"):
            await client.without_retries().start_pytest(RUN)
        assert seen.requests == []


async def test_a_certificate_that_the_context_trusts_is_accepted(
    self_signed: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async with serving(answer_well, self_signed) as (base_url, _):
        token = IssuedToken(SecretStr("opaque"))
        async with TpClient.at(base_url=base_url, credentials=token, clock=SystemClock(), verify=trusting) as client:
            assert (await client.get_execution(446)).exec_id == 446


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with serving(answer_well) as (base_url, seen), client_of(base_url) as client:
        assert (await client.get_execution(446)).exec_id == 446
    assert len(seen.requests) == 1
