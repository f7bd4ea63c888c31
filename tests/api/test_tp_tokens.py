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
from tp_mcp.api.tp_tokens import LOGIN_PAUSE_SECONDS, RENEW_BEFORE_SECONDS, SHORT_LOGIN_PAUSE_SECONDS, MintedTokens
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
ACCEPTED = httpx2.Response(202, json={"exec_id": 447, "status": "Initiating"})
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


@pytest.mark.parametrize(
    "answer",
    [
        EXPIRED,
        httpx2.Response(403, json={"detail": "Signature has expired."}),
        httpx2.Response(405, html="<h1>Not allowed</h1>"),
        httpx2.Response(302, headers={"Location": "/login/"}),
        httpx2.Response(200, html="<title>Log in</title><input type=password>"),
    ],
    ids=["401", "403", "405", "redirect", "login page"],
)
async def test_a_write_is_never_sent_again_and_the_next_call_logs_in_anew(
    client: TpClient, tp: Any, answer: httpx2.Response
) -> None:
    tp.on(WRITE, answer, ACCEPTED)
    with pytest.raises(TpNotAuthenticatedError):
        await client.start_pytest(RUN)
    assert (tp.minted, len(tp.sent(WRITE))) == (1, 1)
    assert (await client.start_pytest(RUN)).exec_id == 447
    assert (tp.minted, len(tp.sent(WRITE))) == (2, 2)


async def test_another_refusal_of_a_write_keeps_the_token(client: TpClient, tp: Any) -> None:
    tp.on(WRITE, httpx2.Response(400, json={"error": "no"}), ACCEPTED)
    with pytest.raises(TpRejectedError):
        await client.start_pytest(RUN)
    await client.start_pytest(RUN)
    assert tp.minted == 1


async def test_a_token_that_somebody_else_got_since_is_not_dropped_with_the_refused_one(login: Any, clock: Any) -> None:
    minted = [SecretStr("second"), SecretStr("first")]

    async def mint() -> SecretStr:
        return minted.pop()

    tokens = MintedTokens(login, clock, mint)
    first = await tokens.current()
    second = await tokens.renewed(first)
    tokens.drop(first)
    assert await tokens.current() == second
    assert minted == []


@pytest.mark.parametrize("retrying", [True, False])
async def test_a_write_is_sent_with_a_token_that_does_not_expire_soon(
    client: TpClient, tp: Any, clock: Any, retrying: bool
) -> None:
    tp.on(WRITE, ACCEPTED)
    tp.on(READ, GOOD)
    caller = client if retrying else client.without_retries()
    await caller.start_pytest(RUN)
    clock.time += 12 * HOURS - RENEW_BEFORE_SECONDS - 1
    await caller.start_pytest(RUN)
    assert tp.minted == 1
    clock.time += 2
    await caller.start_pytest(RUN)
    assert tp.minted == 2


async def test_a_token_that_lives_for_seconds_serves_reads_until_it_is_refused_but_one_write(
    client: TpClient, tp: Any, clock: Any
) -> None:
    tp.on(MINT, lambda _: httpx2.Response(200, json={"token": tp.token(clock.time + 10)}))
    tp.on(WRITE, ACCEPTED)
    tp.on(READ, GOOD)
    await client.get_execution(446)
    await client.get_execution(446)
    assert tp.minted == 1
    await client.start_pytest(RUN)
    await client.start_pytest(RUN)
    assert tp.minted == 3


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
    assert "tried again in 60 s" in str(outcomes[0])
    clock.time += LOGIN_PAUSE_SECONDS - 1
    with pytest.raises(TpNotAuthenticatedError, match="tried again in 1 s"):
        await client.get_execution(446)
    assert len(tp.sent(MINT)) == 1
    del tp.answers[MINT]
    tp.on(READ, GOOD)
    clock.time += 1
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


async def test_a_clock_that_was_set_back_does_not_make_the_pause_longer(client: TpClient, tp: Any, clock: Any) -> None:
    tp.on(MINT, httpx2.Response(401, json={"detail": "no"}))
    for _ in range(2):
        with pytest.raises(TpNotAuthenticatedError):
            await client.get_execution(446)
        clock.time -= HOURS
    assert len(tp.sent(MINT)) == 2


NO_TOKEN_AUTH = {
    "404 page": httpx2.Response(404, html="<h1>Not found</h1>"),
    "404 JSON": httpx2.Response(404, json={"detail": "Not found."}),
    "405": httpx2.Response(405, html="<h1>Not allowed</h1>"),
    "redirect": httpx2.Response(302, headers={"Location": "https://idp.example/login"}),
    "login page": httpx2.Response(200, html="<title>Log in</title><input type=password>"),
    "page": httpx2.Response(200, html="<h1>Welcome</h1>"),
}


@pytest.mark.parametrize("name", NO_TOKEN_AUTH)
async def test_a_page_instead_of_a_token_stops_calls_for_seconds_only(
    client: TpClient, tp: Any, clock: Any, name: str
) -> None:
    tp.on(MINT, NO_TOKEN_AUTH[name])
    tp.on(READ, GOOD)
    for _ in range(2):
        with pytest.raises(TpNotAuthenticatedError, match="tried again in 5 s"):
            await client.get_execution(446)
    assert len(tp.sent(MINT)) == 1
    del tp.answers[MINT]
    clock.time += SHORT_LOGIN_PAUSE_SECONDS
    assert (await client.get_execution(446)).exec_id == 446


@pytest.mark.parametrize("name", NO_TOKEN_AUTH)
async def test_a_tp_that_handed_out_a_token_before_is_not_said_to_hand_out_none(
    client: TpClient, tp: Any, clock: Any, name: str
) -> None:
    tp.on(READ, GOOD)
    await client.get_execution(446)
    tp.on(MINT, NO_TOKEN_AUTH[name])
    clock.time += 13 * HOURS
    page = "a login page" if name == "login page" else "another page"
    with pytest.raises(TpNotAuthenticatedError, match=f"{page}.*instead of a token.*may be restarting") as caught:
        await client.get_execution(446)
    assert "single sign-on" not in str(caught.value)
    assert "TP_MCP_TOKEN" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_refusal_that_is_not_tps_own_says_nothing_about_the_password(
    client: TpClient, tp: Any, clock: Any, status: int
) -> None:
    tp.on(MINT, httpx2.Response(status, html="<h1>Forbidden</h1>"))
    with pytest.raises(TpNotJsonError, match=r"does not show whether.*TP_MCP_BASE_URL.*TP_MCP_TOKEN"):
        await client.get_execution(446)
    del tp.answers[MINT]
    tp.on(READ, GOOD)
    assert (await client.get_execution(446)).exec_id == 446
    tp.on(MINT, httpx2.Response(status, html="<h1>Forbidden</h1>"))
    clock.time += 13 * HOURS
    with pytest.raises(TpNotJsonError, match=r"does not show whether.*may be restarting") as caught:
        await client.get_execution(446)
    assert "TP_MCP" not in str(caught.value)


@pytest.mark.parametrize("answer", NO_TOKEN_AUTH.values(), ids=NO_TOKEN_AUTH)
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
    from tp_mcp.api.tp_tokens import HandedInToken
    from tp_mcp.clock import SystemClock

    token = SecretStr("opaque")
    tokens = HandedInToken(IssuedToken(token), SystemClock())
    assert await tokens.renewed(token) == token
    tokens.drop(token)
    assert await tokens.fresh() == token
