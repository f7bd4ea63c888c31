"""Polling TP by a tool's name: one request, whatever comes back."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx2
import pytest
from pydantic import SecretStr

from tp_mcp.api.auth import PasswordLogin
from tp_mcp.api.client import TpClient
from tp_mcp.clock import SystemClock
from tp_mcp.errors import InvalidArgumentError, TpNotFoundError, TpServerFaultError, TpUnreachableError
from tp_mcp.jobs.tp_reader import TpReader


@dataclass
class Tp:
    """A TP that gives one answer to every read."""

    answer: httpx2.Response | Exception
    paths: list[str] = field(default_factory=list)

    async def handle(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/token-auth/":
            return httpx2.Response(200, json={"token": "a.e30.c"})
        self.paths.append(request.url.path)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
async def tp() -> Tp:
    return Tp(httpx2.Response(200, json={"exec_id": 446, "status": "Running", "extra": [1]}))


@pytest.fixture
async def reader(tp: Tp) -> AsyncIterator[TpReader]:
    login = PasswordLogin("demo", SecretStr("secret"))
    transport = httpx2.MockTransport(tp.handle)
    async with TpClient.at(
        base_url="http://tp.example", credentials=login, clock=SystemClock(), transport=transport
    ) as client:
        yield TpReader(client)


async def test_tps_own_json_comes_back_whole(reader: TpReader, tp: Tp) -> None:
    assert await reader.read("get_execution", {"exec_id": 446}) == {"exec_id": 446, "status": "Running", "extra": [1]}
    assert tp.paths == ["/adc/automation/pytest/446/"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx2.Response(503, json={"error": "busy"}, headers={"Retry-After": "0"}), TpServerFaultError),
        (httpx2.Response(404, json={"error": "none"}), TpNotFoundError),
        (httpx2.ReadError("reset"), TpUnreachableError),
    ],
)
async def test_a_poll_is_asked_once_and_never_retried(
    reader: TpReader, tp: Tp, answer: httpx2.Response | Exception, error: type[Exception]
) -> None:
    tp.answer = answer
    with pytest.raises(error):
        await reader.read("get_execution", {"exec_id": 446})
    assert len(tp.paths) == 1


async def test_nothing_but_what_reads_can_be_polled(reader: TpReader, tp: Tp) -> None:
    with pytest.raises(InvalidArgumentError):
        await reader.read("start_pytest", {})
    assert tp.paths == []
