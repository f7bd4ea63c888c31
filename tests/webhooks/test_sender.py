"""One attempt to send an event, to a real receiver."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.patience import PATIENCE_SECONDS
from tests.webhooks.conftest import NOW, SECRET, Receiver
from tp_mcp.settings import Webhook
from tp_mcp.watch.delivery.outbox import Outgoing
from tp_mcp.webhooks import courier as sending_module
from tp_mcp.webhooks.courier import Attempt, Sender

MakeEvent = Callable[..., Outgoing]
MakeWebhook = Callable[..., Webhook]


@asynccontextmanager
async def sender(webhook: Webhook, **options: Any) -> AsyncIterator[Sender]:
    made = Sender(webhook, **options)
    yield made
    await made.close()


async def test_an_event_arrives_signed_under_its_id(
    receiver: Receiver, make_webhook: MakeWebhook, make_event: MakeEvent
) -> None:
    async with sender(make_webhook(receiver.url(path="/hooks/tp?a=b"))) as to:
        assert await to.send(make_event(), now=NOW + 0.9) == Attempt()
    (received,) = receiver.received
    assert received.path == "/hooks/tp?a=b"
    assert received.body == '{"text":"ä"}'
    assert received.headers["content-type"] == "application/json"
    assert received.headers["webhook-id"] == "evt_1"
    assert received.headers["webhook-timestamp"] == str(int(NOW))
    assert received.is_signed_with(SECRET.encode())
    assert not received.is_signed_with(b"another secret")


@pytest.mark.parametrize("code", ["500 Oops", "400 Bad", "404 Gone", "429 Slow"])
async def test_any_answer_but_success_is_a_problem(
    receiver: Receiver, make_webhook: MakeWebhook, make_event: MakeEvent, code: str
) -> None:
    receiver.answer(f"HTTP/1.1 {code}\nContent-Length: 0\nRetry-After: 7\n\n")
    async with sender(make_webhook(receiver.url())) as to:
        assert await to.send(make_event(), now=NOW) == Attempt(f"HTTP {code[:3]}", retry_after=7.0)


@pytest.mark.parametrize(("header", "seconds"), [("soon", 0.0), ("999999", 3600.0), ("-5", 0.0), ("", 0.0)])
async def test_what_an_endpoint_asks_for_is_bounded(
    receiver: Receiver, make_webhook: MakeWebhook, make_event: MakeEvent, header: str, seconds: float
) -> None:
    receiver.answer(f"HTTP/1.1 503 Busy\nContent-Length: 0\nRetry-After: {header}\n\n")
    async with sender(make_webhook(receiver.url())) as to:
        assert (await to.send(make_event(), now=NOW)).retry_after == seconds


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(
    receiver: Receiver, make_webhook: MakeWebhook, make_event: MakeEvent, code: int
) -> None:
    receiver.answer(f"HTTP/1.1 {code} Elsewhere\nLocation: /other\nContent-Length: 0\n\n")
    async with sender(make_webhook(receiver.url())) as to:
        assert (await to.send(make_event(), now=NOW)).problem == f"HTTP {code}"
    assert [received.path for received in receiver.received] == ["/hook"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_private_address_is_refused_before_anything_is_connected(
    receiver: Receiver, make_webhook: MakeWebhook, make_event: MakeEvent, host: str
) -> None:
    allowed = make_webhook(receiver.url(host))
    async with sender(allowed.model_copy(update={"allow_private_addresses": False})) as to:
        attempt = await to.send(make_event(), now=NOW)
    assert "private" in attempt.problem
    assert "allow_private_addresses" in attempt.problem
    assert receiver.connected == 0


async def test_a_name_is_resolved_once_and_the_address_that_was_checked_is_connected_to(
    receiver: Receiver, make_webhook: MakeWebhook, make_event: MakeEvent
) -> None:
    asked: list[tuple[str, int]] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append((host, port))
        return ["127.0.0.1"] if len(asked) == 1 else ["10.255.255.1"]

    async with sender(make_webhook(receiver.url("hooks.example")), resolve=resolve) as to:
        assert await to.send(make_event(), now=NOW) == Attempt()
    assert asked == [("hooks.example", receiver.port)]
    assert receiver.received[0].headers["host"] == f"hooks.example:{receiver.port}"


async def test_the_usual_ports_are_those_of_the_scheme(make_webhook: MakeWebhook, make_event: MakeEvent) -> None:
    asked: list[int] = []

    async def resolve(_host: str, port: int) -> Sequence[str]:
        asked.append(port)
        return []

    for scheme in ("http", "https"):
        async with sender(make_webhook(f"{scheme}://hooks.example/"), resolve=resolve) as to:
            await to.send(make_event(), now=NOW)
    assert asked == [80, 443]


async def test_an_answer_without_end_is_not_read(
    receiver: Receiver, make_webhook: MakeWebhook, make_event: MakeEvent
) -> None:
    receiver.answer("HTTP/1.1 200 OK\nContent-Length: 1000000000000\n\n" + "x" * 100_000)
    async with sender(make_webhook(receiver.url())) as to, asyncio.timeout(PATIENCE_SECONDS):
        assert await to.send(make_event(), now=NOW) == Attempt()


async def test_an_endpoint_that_never_answers_is_given_up_in_time(
    receiver: Receiver, make_webhook: MakeWebhook, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending_module, "SEND_SECONDS", 0.1)
    receiver.hold = asyncio.Event()
    async with sender(make_webhook(receiver.url())) as to:
        assert (await to.send(make_event(), now=NOW)).problem == "no answer within 0.1 s"
    receiver.hold.set()


async def test_what_cannot_be_connected_to_is_said_without_its_address(
    make_webhook: MakeWebhook, make_event: MakeEvent
) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    async with sender(make_webhook(f"http://127.0.0.1:{port}/t0ken")) as to:
        assert (await to.send(make_event(), now=NOW)).problem == "ConnectError"


async def test_a_name_that_does_not_resolve_is_a_problem(make_webhook: MakeWebhook, make_event: MakeEvent) -> None:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        raise OSError("no such name")

    async with sender(make_webhook("https://hooks.example/"), resolve=resolve) as to:
        assert (await to.send(make_event(), now=NOW)).problem == "OSError"


async def test_an_error_that_nobody_foresaw_is_a_problem_of_this_event_alone(
    make_webhook: MakeWebhook, make_event: MakeEvent
) -> None:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        raise RuntimeError("https://hooks.example/t0ken")

    async with sender(make_webhook("https://hooks.example/t0ken"), resolve=resolve) as to:
        assert (await to.send(make_event(), now=NOW)).problem == "RuntimeError"


async def test_the_system_resolves_names() -> None:
    assert "127.0.0.1" in await sending_module.resolved("localhost", 80)


def certificate_for(name: str, directory: Path) -> tuple[Path, ssl.SSLContext]:
    """Return the file of a certificate that signs itself, and the context of a server that has it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, bundle = serialization.Encoding.PEM, directory / "both.pem"
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    bundle.write_bytes(private + signed.public_bytes(pem))
    (directory / "ca.pem").write_bytes(signed.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(bundle)
    return directory / "ca.pem", context


async def test_a_certificate_has_to_be_of_the_name_and_of_an_authority_that_is_trusted(
    make_webhook: MakeWebhook, make_event: MakeEvent, tmp_path: Path
) -> None:
    ca_file, tls = certificate_for("hooks.example", tmp_path)
    receiver = Receiver()
    server = await asyncio.start_server(receiver.handle, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    said = []
    for host, trusted in (("hooks.example", ca_file), ("other.example", ca_file), ("hooks.example", None)):
        webhook = make_webhook(f"https://{host}:{port}/", ca_file=trusted)
        async with sender(webhook, resolve=resolve) as to:
            said.append((await to.send(make_event(), now=NOW)).problem)
    assert said == ["", "ConnectError", "ConnectError"]
    assert len(receiver.received) == 1
    server.close()
