"""Two people at one server over HTTP, each with a token, and everything that the server says to each of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.server.conftest import Chat
from tests.server.http.conftest import Served, served_over_http
from tests.server.tasks.client import TasksClient, TaskTaker
from tests.support.world import World
from tp_mcp.access.access_tokens import Tokens
from tp_mcp.server.auth.authentication import Authentication, Verifier, authenticated
from tp_mcp.server.identity import HttpIdentity
from tp_mcp.server.toolset import ALL_TOOLS

PUBLIC = "https://tp-mcp.example/mcp"
CONVERSATION_HEADER = "X-Conversation"


class Recording(httpx2.AsyncHTTPTransport):
    """Keeps every byte that comes back."""

    def __init__(self) -> None:
        super().__init__()
        self._heard = bytearray()

    @property
    def heard(self) -> str:
        return self._heard.decode()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        self._heard += "".join(f"{name}: {value}\n" for name, value in response.headers.items()).encode()
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Copied(response.stream, self._heard)
        return response


class _Copied(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, into: bytearray) -> None:
        self._stream = stream
        self._into = into

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            self._into += piece
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


@dataclass
class Person:
    """Somebody with a token. Connections are made anew, each with whatever conversation it names."""

    served: Served
    name: str
    token: str
    wires: list[Recording] = field(default_factory=list)

    @property
    def heard(self) -> str:
        """Everything that any connection of theirs was sent."""
        return "\n".join(wire.heard for wire in self.wires)

    @asynccontextmanager
    async def chat(self, mode: str = "auto", *, conversation: str = "chat-1") -> AsyncIterator[Chat]:
        async with self._http(conversation) as http, Client(self._wire(http), mode=mode) as client:
            yield Chat(self.served.world, client)

    @asynccontextmanager
    async def tasks(self, *, conversation: str = "chat-1") -> AsyncIterator[TaskTaker]:
        extension = TasksClient()
        async with self._http(conversation) as http, Client(self._wire(http), extensions=[extension]) as client:
            yield TaskTaker(client, extension)

    def _http(self, conversation: str) -> httpx2.AsyncClient:
        self.wires.append(Recording())
        headers = {"Authorization": f"Bearer {self.token}", CONVERSATION_HEADER: conversation}
        return httpx2.AsyncClient(headers=headers, timeout=30, transport=self.wires[-1])

    def _wire(self, http: httpx2.AsyncClient) -> Any:
        return streamable_http_client(self.served.url, http_client=http)


@dataclass
class Team:
    """One server that lets both in."""

    world: World
    served: Served
    alice: Person
    bob: Person


@asynccontextmanager
async def open_team(world: World) -> AsyncIterator[Team]:
    """Serve a world over HTTP with every tool, to holders of tokens alone."""

    async def tokens() -> Tokens:
        return world.services.access.tokens

    identity = HttpIdentity(principal_of=authenticated, header=CONVERSATION_HEADER)
    authentication = Authentication(Verifier(tokens=tokens), PUBLIC)
    async with served_over_http(
        world, identity, public_url=PUBLIC, tools=ALL_TOOLS, authentication=authentication
    ) as served:
        people = [
            Person(served, name, (await world.services.access.tokens.add(name, name, days=None)).get_secret_value())
            for name in ("alice", "bob")
        ]
        yield Team(world, served, *people)
