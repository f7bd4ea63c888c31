"""A real HTTP receiver on this machine, and events to send to it."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import SecretStr

from tp_mcp.settings import Webhook
from tp_mcp.watch.delivery.outbox import EventKind, Outgoing
from tp_mcp.watch.model.spec import WatchSpec
from tp_mcp.watch.model.watch import Origin, Owner, Watch, WatchState

SECRET = "a-secret-of-enough-letters"
NOW = 1_780_000_000.0


@dataclass(frozen=True)
class Received:
    """One request that arrived."""

    path: str
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def is_signed_with(self, secret: bytes) -> bool:
        """Verify the signature as a receiver would."""
        signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.{self.body}".encode()
        expected = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
        return hmac.compare_digest(self.headers["webhook-signature"], f"v1,{expected}")


@dataclass
class Receiver:
    """Answers each request as laid out, the last answer again and again."""

    port: int = 0
    answers: list[bytes] = field(default_factory=lambda: [b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"])
    received: list[Received] = field(default_factory=list)
    connected: int = 0
    hold: asyncio.Event | None = None

    def answer(self, *answers: str) -> None:
        self.answers = [answer.replace("\n", "\r\n").encode() for answer in answers]

    def url(self, host: str = "127.0.0.1", path: str = "/hook") -> str:
        return f"http://{host}:{self.port}{path}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *lines = head.split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
                body = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
                self.received.append(Received(first.split(" ")[1], headers, body))
                if self.hold is not None:
                    await self.hold.wait()
                writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    server = await asyncio.start_server(made.handle, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


@pytest.fixture
def make_webhook() -> Callable[..., Webhook]:
    def make(url: str, **changes: Any) -> Webhook:
        fields = {"url": url, "secret": SecretStr(SECRET), "allow_private_addresses": True, **changes}
        return Webhook.model_validate(fields)

    return make


@pytest.fixture
def make_event() -> Callable[..., Outgoing]:
    def make(**changes: Any) -> Outgoing:
        fields = {
            "id": "evt_1",
            "endpoint": "chat",
            "kind": EventKind.END,
            "watch_id": "w_00000001",
            "body": '{"text":"ä"}',
            "created_at": NOW,
            **changes,
        }
        return Outgoing(**fields)

    return make


@pytest.fixture
def make_watch() -> Callable[..., Watch]:
    def make(**changes: Any) -> Watch:
        fields: dict[str, Any] = {
            "id": "w_00000001",
            "owner": Owner("local:alice", "threadId:t-1", exact=True),
            "server": "http://tp.example:8000",
            "origin": Origin("run_pytest", {"lab": "AT16"}),
            "title": "run of Tests_CLI on AT16",
            "job": "execution:446",
            "spec": WatchSpec(
                tool="get", args={}, rule="r", interval_seconds=15.0, timeout_seconds=3600.0, max_polls=None
            ),
            "state": WatchState.ACTIVE,
            "created_at": NOW - 60,
            "started_at": NOW - 60,
            **changes,
        }
        return Watch(**fields)

    return make
