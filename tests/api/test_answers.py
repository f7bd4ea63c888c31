"""Every failure becomes exactly one class of the error tree."""

import json
import re
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from tp_mcp.api.client import TpClient
from tp_mcp.api.requests import PytestRequest, UpgradeRequest
from tp_mcp.errors import (
    TpBusyError,
    TpError,
    TpForbiddenError,
    TpNotAuthenticatedError,
    TpNotFoundError,
    TpNotJsonError,
    TpRefusedError,
    TpRejectedError,
    TpServerFaultError,
    TpTimeoutError,
    TpUnreachableError,
)

READ = "/adc/automation/pytest/446/"
WRITE = "/adc/automation/pytest/"
REPORT = "data/AutomationTest/test_446.html"
LOGIN_PAGE = "<!doctype html><html><title>Single sign-on</title><form><input type='password' name='p'></form></html>"
RUN = PytestRequest.checked(lab="AT16", testcase=["Tests_CLI"])


def said(status: int, words: str = "these are the words") -> httpx2.Response:
    return httpx2.Response(status, json={"error": words})


def redirect(location: str, status: int = 302) -> httpx2.Response:
    return httpx2.Response(status, headers={"Location": location})


FAILURES = {
    "refused": (httpx2.ConnectError("refused"), TpRefusedError, None),
    "connecting takes too long": (httpx2.ConnectTimeout("slow"), TpRefusedError, None),
    "no free connection": (httpx2.PoolTimeout("busy"), TpRefusedError, None),
    "no answer": (httpx2.ReadTimeout("slow"), TpTimeoutError, None),
    "not taken": (httpx2.WriteTimeout("slow"), TpTimeoutError, None),
    "dropped while reading": (httpx2.ReadError("reset"), TpUnreachableError, None),
    "dropped while writing": (httpx2.WriteError("reset"), TpUnreachableError, None),
    "no answer at all": (httpx2.RemoteProtocolError("closed"), TpUnreachableError, None),
    "not decodable": (httpx2.DecodingError("gzip"), TpNotJsonError, None),
    "401": (said(401), TpNotAuthenticatedError, 401),
    "403 about the token": (said(403, "Signature has expired."), TpNotAuthenticatedError, 403),
    "403": (said(403, "you may not use this lab"), TpForbiddenError, 403),
    "403 as a page": (httpx2.Response(403, html="<h1>Forbidden</h1>"), TpForbiddenError, 403),
    "405": (httpx2.Response(405, html="<h1>Method not allowed</h1>"), TpNotAuthenticatedError, 405),
    "login page with 200": (httpx2.Response(200, html=LOGIN_PAGE), TpNotAuthenticatedError, 200),
    "redirect to a login": (redirect("/login/?next=/adc/"), TpNotAuthenticatedError, 302),
    "redirect to another host": (redirect("https://idp.example/adfs/ls"), TpNotAuthenticatedError, 302),
    "redirect to nowhere": (redirect("http://[broken"), TpNotAuthenticatedError, 302),
    "404 as JSON": (said(404, "no such execution"), TpNotFoundError, 404),
    "404 as a page": (httpx2.Response(404, html="<h1>Not found</h1>"), TpNotJsonError, 404),
    "404 without a body": (httpx2.Response(404), TpNotJsonError, 404),
    "409": (said(409), TpBusyError, 409),
    "400": (said(400), TpRejectedError, 400),
    "418": (said(418), TpRejectedError, 418),
    "429": (said(429), TpRejectedError, 429),
    "500": (said(500), TpServerFaultError, 500),
    "502 as a page": (httpx2.Response(502, html="<h1>Bad gateway</h1>"), TpServerFaultError, 502),
    "503": (said(503), TpServerFaultError, 503),
    "a page with 200": (httpx2.Response(200, html="<h1>Welcome</h1>"), TpNotJsonError, 200),
    "text with 200": (httpx2.Response(200, text="OK"), TpNotJsonError, 200),
    "nothing with 200": (httpx2.Response(200), TpNotJsonError, 200),
    "JSON nested too deeply": (httpx2.Response(200, content=b"[" * 200_000), TpNotJsonError, 200),
    "JSON of another shape": (httpx2.Response(200, json=[1, 2]), TpNotJsonError, None),
    "too big": (httpx2.Response(200, content=b" " * 1_100_000), TpNotJsonError, 200),
}
MAY_HAVE_ACTED = {
    "no answer",
    "not taken",
    "dropped while reading",
    "dropped while writing",
    "no answer at all",
    "not decodable",
    "login page with 200",
    "500",
    "502 as a page",
    "503",
    "redirect to a login",
    "redirect to another host",
    "redirect to nowhere",
    "a page with 200",
    "text with 200",
    "nothing with 200",
    "JSON nested too deeply",
    "JSON of another shape",
    "too big",
}


@pytest.mark.parametrize("name", FAILURES)
async def test_a_failed_read_is_one_error_and_changed_nothing(client: TpClient, tp: Any, name: str) -> None:
    answer, kind, status = FAILURES[name]
    tp.on(READ, answer)
    with pytest.raises(TpError) as caught:
        await client.get_execution(446)
    assert type(caught.value) is kind
    assert caught.value.status_code == status
    assert caught.value.may_have_acted is False
    assert caught.value.remedy or kind in (TpRejectedError, TpBusyError)


@pytest.mark.parametrize("name", FAILURES)
async def test_a_failed_write_is_one_error_and_says_whether_it_may_have_acted(
    client: TpClient, tp: Any, name: str
) -> None:
    answer, kind, status = FAILURES[name]
    tp.on(WRITE, answer)
    with pytest.raises(TpError) as caught:
        await client.start_pytest(RUN)
    assert type(caught.value) is kind
    assert caught.value.status_code == status
    assert caught.value.may_have_acted is (name in MAY_HAVE_ACTED)


@pytest.mark.parametrize("name", ["401", "403 about the token", "405"])
async def test_a_write_whose_login_is_refused_says_that_nothing_was_started(
    client: TpClient, tp: Any, name: str
) -> None:
    tp.on(WRITE, FAILURES[name][0])
    with pytest.raises(TpNotAuthenticatedError, match=r"nothing was started or ended: call again"):
        await client.start_pytest(RUN)
    tp.on(READ, FAILURES[name][0])
    with pytest.raises(TpNotAuthenticatedError) as caught:
        await client.get_execution(446)
    assert "nothing was started" not in str(caught.value)


async def test_a_login_page_for_an_answer_to_a_write_leaves_open_what_was_done(client: TpClient, tp: Any) -> None:
    tp.on(WRITE, httpx2.Response(200, html=LOGIN_PAGE))
    with pytest.raises(TpNotAuthenticatedError, match="read its state before you repeat it") as caught:
        await client.start_pytest(RUN)
    assert "nothing was started" not in str(caught.value)


NO_JSON = {
    "cut off": httpx2.Response(200, content=b'{"exec_id": 446, "sta'),
    "a page": httpx2.Response(200, html="<h1>Welcome</h1>"),
}
NOT_A_TP = "probably not the base URL"
EXPIRED = "login may have expired"


@pytest.mark.parametrize("answer", NO_JSON.values(), ids=NO_JSON)
async def test_what_is_no_json_casts_doubt_on_address_and_login_until_tp_has_answered_properly(
    make_client: Any, make_token: Callable[..., object], tp: Any, answer: httpx2.Response
) -> None:
    async with make_client(make_token(username="demo")) as client:
        for path, call in ((READ, client.get_execution(446)), (WRITE, client.start_pytest(RUN))):
            tp.on(path, answer)
            with pytest.raises(TpNotJsonError, match=f"{NOT_A_TP}.*{EXPIRED}") as caught:
                await call
            assert ("read its state before" in str(caught.value)) is (path == WRITE)
        tp.on(READ, httpx2.Response(200, json={"exec_id": 446}))
        await client.get_execution(446)
        for path, call, advice in (
            (READ, client.get_execution(446), "may be restarting: try again in a minute"),
            (WRITE, client.start_pytest(RUN), "read its state before you repeat it"),
        ):
            tp.on(path, answer)
            with pytest.raises(TpNotJsonError, match=advice) as caught:
                await call
            assert NOT_A_TP not in str(caught.value)
            assert EXPIRED not in str(caught.value)


async def test_a_missing_page_casts_doubt_on_the_address_until_tp_has_answered_properly(
    make_client: Any, make_token: Callable[..., object], tp: Any
) -> None:
    async with make_client(make_token(username="demo")) as client:
        with pytest.raises(TpNotJsonError, match=NOT_A_TP):
            await client.get_execution(446)
        tp.on(f"/{REPORT}", httpx2.Response(200, html="<h1>any page</h1>"))
        await client.get_report(REPORT, max_bytes=100)
        with pytest.raises(TpNotJsonError, match=NOT_A_TP):
            await client.get_execution(446)
        tp.on(READ, httpx2.Response(200, json={"exec_id": 446}), httpx2.Response(404, html="<h1>Not found</h1>"))
        await client.get_execution(446)
        with pytest.raises(TpNotJsonError, match="may be restarting") as caught:
            await client.get_execution(446)
        assert NOT_A_TP not in str(caught.value)


async def test_a_remedy_names_only_tools_that_there_are(client: TpClient, tp: Any) -> None:
    shown = ""
    for answer, _, _ in FAILURES.values():
        tp.on(READ, answer)
        tp.on(WRITE, answer)
        for call in (client.get_execution(446), client.start_pytest(RUN)):
            with pytest.raises(TpError) as caught:
                await call
            shown += f" {caught.value.remedy}"
    named = {word for word in re.findall(r"[a-z]+_[a-z_]+", shown) if not word.startswith("tp_")}
    assert named == {"list_labs", "list_watches"}


@pytest.mark.parametrize("status", [400, 403, 404, 409, 429, 500])
async def test_an_error_has_the_words_of_tp(client: TpClient, tp: Any, status: int) -> None:
    tp.on(READ, said(status))
    with pytest.raises(TpError, match="these are the words"):
        await client.get_execution(446)


@pytest.mark.parametrize(
    "location", ["https://tp.example:8000/adc/automation/pytest/446/", "http://other.example/adc/automation/pytest/446"]
)
async def test_a_redirect_of_the_same_page_says_what_the_base_url_may_be(
    client: TpClient, tp: Any, location: str
) -> None:
    tp.on(READ, redirect(location, 301))
    with pytest.raises(TpNotJsonError, match="Set TP_MCP_BASE_URL") as caught:
        await client.get_execution(446)
    assert location.partition("/adc")[0] in caught.value.message
    assert len(tp.sent(READ)) == 1


async def test_a_redirect_is_never_followed(client: TpClient, tp: Any) -> None:
    tp.on(READ, redirect("/elsewhere"))
    tp.on("/elsewhere", httpx2.Response(200, json={"exec_id": 446}))
    with pytest.raises(TpNotAuthenticatedError):
        await client.get_execution(446)
    assert tp.sent("/elsewhere") == []


async def test_a_login_problem_names_the_variables_of_the_login_in_use(
    client: TpClient, make_client: Any, make_token: Callable[..., object], tp: Any
) -> None:
    tp.on(READ, said(401))
    with pytest.raises(TpNotAuthenticatedError, match="TP_MCP_USERNAME and TP_MCP_PASSWORD"):
        await client.get_execution(446)
    async with make_client(make_token(username="demo")) as issued:
        with pytest.raises(TpNotAuthenticatedError, match="TP_MCP_TOKEN"):
            await issued.get_execution(446)


async def test_no_error_carries_a_secret(client: TpClient, tp: Any) -> None:
    def parrot(request: httpx2.Request) -> httpx2.Response:
        words = f"{request.headers['authorization']} {request.content.decode()} correct-horse-battery \x1b[2J"
        return httpx2.Response(400, json={"error": words})

    tp.on("/adc/automation/upgrade/", parrot)
    command = "execute restore image scp /a/b.out 10.0.0.1 bob hunter2"
    request = UpgradeRequest.checked(testbed="AT16", mode="command", command=command)
    with pytest.raises(TpRejectedError) as caught:
        await client.start_upgrade(request)
    assert tp.bodies("/adc/automation/upgrade/") == [{"testbed": "AT16", "mode": "command", "command": command}]
    shown = str(caught.value) + repr(caught.value) + repr(request)
    assert "AT16" in shown
    for secret in ("hunter2", "correct-horse-battery", "eyJ", "\x1b"):
        assert secret not in shown


async def test_a_cancelled_execution_may_be_answered_with_nothing(client: TpClient, tp: Any) -> None:
    tp.on("/adc/test_exec_kill", httpx2.Response(204))
    assert await client.cancel_execution(446) is None
    assert tp.bodies("/adc/test_exec_kill") == [{"id": 446}]
    tp.on("/adc/test_exec_kill", httpx2.Response(200, json={"status": "ok"}))
    assert await client.cancel_execution(446) == {"status": "ok"}


async def test_words_that_are_no_json_are_words_too(client: TpClient, tp: Any) -> None:
    tp.on(READ, httpx2.Response(400, text="bad \x07 request"))
    with pytest.raises(TpRejectedError, match='It said: "bad request"'):
        await client.get_execution(446)
    tp.on(READ, httpx2.Response(400, content=json.dumps({"error": "x" * 5_000}).encode()))
    with pytest.raises(TpRejectedError) as caught:
        await client.get_execution(446)
    assert len(str(caught.value)) < 700
