"""Tokens are minted once for all, renewed in time, and never asked for without end."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from tp_mcp.api.auth import IssuedToken
from tp_mcp.api.client import TpClient
from tp_mcp.api.requests import PytestRequest
from tp_mcp.api.tokens import LOGIN_PAUSE_SECONDS, RENEW_BEFORE_SECONDS
from tp_mcp.errors import (
    ConfigurationError,
    TpNotAuthenticatedError,
    TpNotJsonError,
    TpRejectedError,
    TpServerFaultError,
    TpUnreachableError,
)

READ = "/adc/automation/pytest/446/"
WRITE = "/adc/automation/pytest/"
MINT = "/token-auth/"
GOOD = httpx2.Response(200, json={"exec_id": 446, "status": "Running"})
HOURS = 3600.0
EXPIRED = httpx2.Response(401, json={"detail": "Signature has expired."})
RUN = PytestRequest.checked(lab="AT16", testcase=["Tests_CLI"])


async def test_a_token_is_minted_when_it_is_first_needed_and_sent_as_jwt(client: TpClient, tp: Any) -> None:
    tp.on(READ, GOOD)
    assert tp.requests == []
    await client.get_execution(446)
    await client.get_execution(446)
    assert tp.minted == 1
    assert tp.bodies(MINT) == [{"username": "demo", "password": "correct-horse-battery"}]
    assert "authorization" not in tp.sent(MINT)[0].headers
    assert all(request.headers["authorization"].startswith("JWT eyJ") for request in tp.sent(READ))


async def test_many_calls_at_once_share_one_token(client: TpClient, tp: Any) -> None:
    tp.on(READ, GOOD)
    await asyncio.gather(*(client.get_execution(446) for _ in range(20)))
    assert (tp.minted, len(tp.sent(READ))) == (1, 20)


async def test_a_token_is_renewed_before_it_expires(client: TpClient, tp: Any, clock: Any) -> None:
    tp.on(READ, GOOD)
    await client.get_execution(446)
    clock.time += 12 * HOURS - RENEW_BEFORE_SECONDS - 1
    await client.get_execution(446)
    assert tp.minted == 1
    clock.time += 2
    await client.get_execution(446)
    assert tp.minted == 2


async def test_a_token_without_an_end_is_kept_until_tp_refuses_it(client: TpClient, tp: Any, clock: Any) -> None:
    tp.on(MINT, httpx2.Response(200, json={"token": "opaque"}))
    tp.on(READ, GOOD)
    await client.get_execution(446)
    clock.time += 1000 * HOURS
    await client.get_execution(446)
    assert len(tp.sent(MINT)) == 1
    assert tp.sent(READ)[0].headers["authorization"] == "JWT opaque"


async def test_a_refused_token_is_replaced_once_and_the_read_sent_again(client: TpClient, tp: Any) -> None:
    tp.on(READ, EXPIRED, GOOD)
    assert (await client.get_execution(446)).exec_id == 446
    assert tp.minted == 2
    first, second = tp.sent(READ)
    assert first.headers["authorization"] != second.headers["authorization"]


async def test_a_write_is_sent_again_after_a_401_as_that_proves_it_was_not_carried_out(
    client: TpClient, tp: Any
) -> None:
    tp.on(WRITE, EXPIRED, httpx2.Response(202, json={"exec_id": 447, "status": "Initiating"}))
    assert (await client.start_pytest(RUN)).exec_id == 447
    assert len(tp.sent(WRITE)) == 2


@pytest.mark.parametrize("status", [200, 405])
async def test_a_write_is_not_sent_again_after_what_only_looks_like_an_expired_login(
    client: TpClient, tp: Any, login_page: httpx2.Response, status: int
) -> None:
    tp.on(WRITE, httpx2.Response(status, html=login_page.text))
    with pytest.raises(TpNotAuthenticatedError):
        await client.start_pytest(RUN)
    assert len(tp.sent(WRITE)) == 1


async def test_a_read_is_sent_again_after_a_login_page(client: TpClient, tp: Any, login_page: httpx2.Response) -> None:
    tp.on(READ, login_page, GOOD)
    assert (await client.get_execution(446)).exec_id == 446
    assert tp.minted == 2


async def test_a_second_401_ends_it(client: TpClient, tp: Any) -> None:
    tp.on(READ, EXPIRED)
    with pytest.raises(TpNotAuthenticatedError, match="Signature has expired"):
        await client.get_execution(446)
    assert (tp.minted, len(tp.sent(READ))) == (2, 2)


async def test_many_calls_refused_at_once_share_the_new_token(client: TpClient, tp: Any) -> None:
    old: set[str] = set()

    def answer(request: httpx2.Request) -> httpx2.Response:
        token = request.headers["authorization"]
        if tp.minted == 1 or token in old:
            old.add(token)
            return EXPIRED
        return GOOD

    tp.on(READ, answer)
    await asyncio.gather(*(client.get_execution(446) for _ in range(10)))
    assert tp.minted == 2


async def test_a_wrong_password_is_said_and_not_tried_by_every_caller(client: TpClient, tp: Any, clock: Any) -> None:
    tp.on(MINT, httpx2.Response(400, json={"non_field_errors": ["Unable to log in with correct-horse-battery."]}))
    outcomes = await asyncio.gather(*(client.get_execution(446) for _ in range(10)), return_exceptions=True)
    assert all(isinstance(each, TpNotAuthenticatedError) for each in outcomes)
    assert "Unable to log in with [redacted]" in str(outcomes[0])
    assert "TP_MCP_PASSWORD" in str(outcomes[9])
    assert len(tp.sent(MINT)) == 1
    with pytest.raises(TpNotAuthenticatedError):
        await client.get_execution(446)
    assert len(tp.sent(MINT)) == 1
    del tp.answers[MINT]
    tp.on(READ, GOOD)
    clock.time += LOGIN_PAUSE_SECONDS
    assert (await client.get_execution(446)).exec_id == 446


async def test_callers_that_waited_for_a_failed_login_share_its_failure(client: TpClient, tp: Any) -> None:
    tp.on(MINT, httpx2.ConnectError("refused"))
    view = client.without_retries()
    outcomes = await asyncio.gather(*(view.get_execution(446) for _ in range(10)), return_exceptions=True)
    assert all(isinstance(each, TpUnreachableError) for each in outcomes)
    assert len(tp.sent(MINT)) == 1


async def test_a_login_that_failed_for_another_reason_is_tried_again_by_the_next_call(
    client: TpClient, tp: Any
) -> None:
    tp.on(MINT, httpx2.Response(500))
    with pytest.raises(TpServerFaultError):
        await client.get_execution(446)
    del tp.answers[MINT]
    tp.on(READ, GOOD)
    assert (await client.get_execution(446)).exec_id == 446


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.Response(404, html="<h1>Not found</h1>"),
        httpx2.Response(404, json={"detail": "Not found."}),
        httpx2.Response(405, html="<h1>Not allowed</h1>"),
        httpx2.Response(302, headers={"Location": "https://idp.example/login"}),
        httpx2.Response(200, html="<title>Log in</title><input type=password>"),
        httpx2.Response(200, html="<h1>Welcome</h1>"),
    ],
    ids=["404 page", "404 JSON", "405", "redirect", "login page", "page"],
)
async def test_a_tp_without_token_auth_is_named_with_the_way_out(
    client: TpClient, tp: Any, answer: httpx2.Response
) -> None:
    tp.on(MINT, answer)
    with pytest.raises(TpNotAuthenticatedError, match=r"single sign-on.*Set TP_MCP_TOKEN to a token issued elsewhere"):
        await client.start_pytest(RUN)
    assert tp.sent(WRITE) == []


@pytest.mark.parametrize(
    "answer", [{}, {"token": None}, {"token": "two words"}, {"token": ""}, ["token"], {"token": "a\r\nX: y"}]
)
async def test_a_login_answer_without_a_token_is_an_error(client: TpClient, tp: Any, answer: object) -> None:
    tp.on(MINT, httpx2.Response(200, json=answer))
    with pytest.raises(TpNotJsonError, match="no token"):
        await client.get_execution(446)


async def test_a_redirected_login_to_the_same_page_says_what_the_base_url_may_be(client: TpClient, tp: Any) -> None:
    tp.on(MINT, httpx2.Response(301, headers={"Location": "https://tp.example:8000/token-auth/"}))
    with pytest.raises(TpNotJsonError, match="Set TP_MCP_BASE_URL"):
        await client.get_execution(446)


async def test_other_failures_of_a_login_are_what_they_are_elsewhere(client: TpClient, tp: Any) -> None:
    tp.on(MINT, httpx2.Response(429, json={"detail": "slow down"}))
    with pytest.raises(TpRejectedError, match="slow down"):
        await client.get_execution(446)


async def test_a_token_that_was_handed_in_is_used_as_it_is(
    make_client: Any, tp: Any, make_token: Callable[..., IssuedToken], clock: Any
) -> None:
    tp.on(READ, GOOD)
    issued = make_token(username="demo", exp=clock.time + 10)
    async with make_client(issued) as client:
        await client.get_execution(446)
        assert await client.username() == "demo"
        clock.time += 10
        with pytest.raises(TpNotAuthenticatedError, match=r"expired; nothing was sent.*TP_MCP_TOKEN"):
            await client.get_execution(446)
    assert len(tp.requests) == 1
    assert tp.requests[0].headers["authorization"] == f"JWT {issued.token.get_secret_value()}"


async def test_a_refused_token_that_was_handed_in_cannot_be_renewed(
    make_client: Any, tp: Any, make_token: Callable[..., IssuedToken]
) -> None:
    tp.on(READ, EXPIRED)
    async with make_client(make_token(username="demo")) as client:
        with pytest.raises(TpNotAuthenticatedError, match="TP_MCP_TOKEN"):
            await client.get_execution(446)
    assert len(tp.requests) == 1


async def test_a_token_without_a_username_says_so(
    make_client: Any, make_token: Callable[..., IssuedToken], tp: Any
) -> None:
    for issued in (make_token(exp=1e12), IssuedToken(SecretStr("opaque"))):
        async with make_client(issued) as client:
            with pytest.raises(ConfigurationError, match="TP_MCP_TOKEN carries no username"):
                await client.list_labs()
    assert tp.requests == []


@pytest.mark.parametrize("token", ["", "JWT abc", "abc\n", '"abc"'])
def test_a_token_that_cannot_be_one_is_refused_at_once(make_client: Any, token: str) -> None:
    with pytest.raises(ConfigurationError, match="TP_MCP_TOKEN is not a token"):
        make_client(IssuedToken(SecretStr(token)))


async def test_the_username_of_a_login_is_known_without_asking(client: TpClient, tp: Any) -> None:
    assert await client.username() == "demo"
    assert tp.requests == []


async def test_a_token_handed_in_has_no_other() -> None:
    from tp_mcp.api.tokens import HandedInToken
    from tp_mcp.clock import SystemClock

    token = SecretStr("opaque")
    assert await HandedInToken(IssuedToken(token), SystemClock()).renewed(token) == token
