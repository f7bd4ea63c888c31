from types import SimpleNamespace
from typing import Any, cast

import pytest
from mcp import MCPError
from mcp.server.context import HandlerResult, ServerRequestContext

from tests.support.clock import still_clock
from tp_mcp.server.auth.rate_limit import MAX_PRINCIPALS, TOO_MANY_REQUESTS, Limiting, RateLimit
from tp_mcp.watch.model.watch import Owner


def test_so_many_at_once_and_then_as_time_passes() -> None:
    clock = still_clock()
    limit = RateLimit(clock, per_minute=60)
    assert [limit.wait("alice") for _ in range(60)] == [0.0] * 60
    assert limit.wait("alice") == 1.0
    clock.time += 0.5
    assert limit.wait("alice") == 0.5
    clock.time += 0.5
    assert limit.wait("alice") == 0.0
    clock.time += 3600
    assert [limit.wait("alice") > 0 for _ in range(61)] == [False] * 60 + [True]


def test_one_principal_does_not_use_up_anothers() -> None:
    limit = RateLimit(still_clock(), per_minute=1)
    assert limit.wait("alice") == 0.0
    assert limit.wait("alice") > 0
    assert limit.wait("bob") == 0.0


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    clock = still_clock()
    limit = RateLimit(clock, per_minute=2)
    limit.wait("alice")
    clock.time -= 1000
    assert limit.wait("alice") == 0.0


def test_who_was_away_longest_is_forgotten_first() -> None:
    limit = RateLimit(still_clock(), per_minute=1)
    limit.wait("alice")
    for number in range(MAX_PRINCIPALS):
        limit.wait(f"user {number}")
    assert limit.wait("alice") == 0.0
    assert limit.wait(f"user {MAX_PRINCIPALS - 1}") > 0


class Alice:
    """Everybody is alice."""

    def of(self, _ctx: ServerRequestContext[Any, Any]) -> Owner:
        return Owner("alice", "chat", exact=True)


async def answered(_ctx: ServerRequestContext[Any, Any]) -> HandlerResult:
    return {}


def request(method: str) -> ServerRequestContext[Any, Any]:
    return cast("ServerRequestContext[Any, Any]", SimpleNamespace(method=method))


@pytest.mark.parametrize(
    "method", ["tasks/get", "initialize", "ping", "server/discover", "notifications/cancelled", "notifications/tasks"]
)
async def test_a_request_that_asks_nothing_of_tp_is_neither_counted_nor_refused(method: str) -> None:
    limiting = Limiting(RateLimit(still_clock(), per_minute=1), Alice())
    for _ in range(3):
        assert await limiting(request(method), answered) == {}
    assert await limiting(request("tools/list"), answered) == {}
    assert await limiting(request(method), answered) == {}


@pytest.mark.parametrize("method", ["tools/list", "resources/read", "tasks/cancel", "tasks/update"])
async def test_every_other_request_is_counted_and_refused_with_the_time_to_wait(method: str) -> None:
    limiting = Limiting(RateLimit(still_clock(), per_minute=1), Alice())
    assert await limiting(request(method), answered) == {}
    with pytest.raises(MCPError, match="Wait 60 s") as refused:
        await limiting(request(method), answered)
    assert refused.value.code == TOO_MANY_REQUESTS
