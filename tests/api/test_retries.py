"""Reads are repeated after a pause, writes never."""

import asyncio
import logging
from typing import Any

import httpx2
import pytest
import stamina

from tp_mcp.api.calls import (
    LONGEST_RETRY_AFTER_SECONDS,
    LONGEST_WAIT_SECONDS,
    READ_ATTEMPTS,
    FailedAttempt,
    pause,
    retry_after_seconds,
)
from tp_mcp.api.client import TpClient
from tp_mcp.api.requests import PytestRequest, UpgradeRequest
from tp_mcp.errors import TpError, TpRejectedError, TpServerFaultError, TpUnreachableError

READ = "/adc/automation/pytest/446/"
WRITE = "/adc/automation/pytest/"
GOOD = httpx2.Response(200, json={"exec_id": 446})
RUN = PytestRequest.checked(lab="AT16", testcase=["Tests_CLI"])
PASSING = [
    httpx2.ConnectError("refused"),
    httpx2.ReadTimeout("slow"),
    httpx2.ReadError("reset"),
    httpx2.RemoteProtocolError("closed"),
    *(httpx2.Response(status) for status in (429, 502, 503, 504)),
]
LASTING = [httpx2.Response(status, json={"error": "no"}) for status in (400, 403, 404, 409, 500)]


@pytest.mark.parametrize("answer", PASSING, ids=str)
async def test_a_read_is_repeated_after_what_may_pass(client: TpClient, tp: Any, answer: Any) -> None:
    tp.on(READ, answer, answer, GOOD)
    assert (await client.get_execution(446)).exec_id == 446
    assert len(tp.sent(READ)) == 3


@pytest.mark.parametrize("answer", PASSING, ids=str)
async def test_a_read_is_given_up_after_a_few_attempts(client: TpClient, tp: Any, answer: Any) -> None:
    tp.on(READ, answer)
    with pytest.raises(TpError):
        await client.get_execution(446)
    assert len(tp.sent(READ)) == READ_ATTEMPTS


@pytest.mark.parametrize("answer", LASTING, ids=str)
async def test_a_read_is_not_repeated_after_what_will_not_pass(client: TpClient, tp: Any, answer: Any) -> None:
    tp.on(READ, answer)
    with pytest.raises(TpError):
        await client.get_execution(446)
    assert len(tp.sent(READ)) == 1


@pytest.mark.parametrize("answer", PASSING + LASTING, ids=str)
async def test_a_write_is_never_repeated(client: TpClient, tp: Any, answer: Any) -> None:
    paths = (WRITE, "/adc/automation/upgrade/", "/adc/test_exec_kill")
    for path in paths:
        tp.on(path, answer)
    upgrade = UpgradeRequest.checked(testbed="AT16", mode="ga", version="7.6.5")
    for write in (client.start_pytest(RUN), client.start_upgrade(upgrade), client.cancel_execution(446)):
        with pytest.raises(TpError):
            await write
    assert [len(tp.sent(path)) for path in paths] == [1, 1, 1]


@pytest.mark.parametrize("answer", PASSING, ids=str)
async def test_a_view_without_retries_sends_a_read_once_with_the_same_token(
    client: TpClient, tp: Any, answer: Any
) -> None:
    view = client.without_retries()
    tp.on(READ, answer)
    with pytest.raises(TpError):
        await view.get_execution(446)
    assert len(tp.sent(READ)) == 1
    tp.on(READ, answer, GOOD)
    await client.get_execution(446)
    assert tp.minted == 1
    assert type(view) is TpClient


async def test_the_login_of_a_write_is_a_read_and_repeated(client: TpClient, tp: Any) -> None:
    tp.on("/token-auth/", httpx2.ConnectError("refused"), httpx2.Response(200, json={"token": "opaque"}))
    tp.on(WRITE, httpx2.Response(202, json={"exec_id": 447}))
    assert (await client.start_pytest(RUN)).exec_id == 447
    assert len(tp.sent(WRITE)) == 1


async def test_a_retry_writes_nothing_to_the_log(client: TpClient, tp: Any, caplog: pytest.LogCaptureFixture) -> None:
    tp.on(READ, httpx2.Response(503), GOOD)
    # As where no logging is set up: the root's level is that of warnings.
    with caplog.at_level(logging.WARNING):
        await client.get_execution(446)
    assert len(tp.sent(READ)) == 2
    assert caplog.records == []


async def waits_of(
    monkeypatch: pytest.MonkeyPatch, client: TpClient, tp: Any, *answers: httpx2.Response
) -> list[float]:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    tp.on(READ, *answers)
    with stamina.set_testing(False), monkeypatch.context() as patch:
        patch.setattr(asyncio, "sleep", sleep)
        try:
            await client.get_execution(446)
        except TpError:
            waits.append(-1)
    return waits


async def test_pauses_grow_and_are_bounded(monkeypatch: pytest.MonkeyPatch, client: TpClient, tp: Any) -> None:
    first, second = await waits_of(monkeypatch, client, tp, httpx2.Response(503), httpx2.Response(503), GOOD)
    assert 0.5 <= first <= 1.0
    assert 1.0 <= second <= LONGEST_WAIT_SECONDS


async def test_the_pause_that_tp_asks_for_is_kept(monkeypatch: pytest.MonkeyPatch, client: TpClient, tp: Any) -> None:
    asked = httpx2.Response(503, headers={"Retry-After": "7"})
    assert await waits_of(monkeypatch, client, tp, asked, GOOD) == [7.0]


async def test_a_pause_longer_than_the_limit_is_not_sat_out(
    monkeypatch: pytest.MonkeyPatch, client: TpClient, tp: Any
) -> None:
    asked = httpx2.Response(429, headers={"Retry-After": "3600"})
    assert await waits_of(monkeypatch, client, tp, asked, GOOD) == [-1]
    assert len(tp.sent(READ)) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        (" 12 ", 12.0),
        ("Thu, 28 May 2026 20:26:50 GMT", 10.0),
        ("Thu, 28 May 2026 20:26:50 -0000", 10.0),
        ("Thu, 28 May 2026 20:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1" * 20, None),
        ("1e3", None),
    ],
)
def test_a_pause_comes_as_seconds_or_as_a_date(header: str, seconds: float | None) -> None:
    assert retry_after_seconds({"retry-after": header}, 1_780_000_000.0) == seconds
    assert retry_after_seconds({}, 0.0) is None


@pytest.mark.parametrize(
    ("error", "decision"),
    [
        (ValueError("a mistake of ours"), False),
        (FailedAttempt(TpUnreachableError("x")), True),
        (FailedAttempt(TpServerFaultError("x", status_code=503)), True),
        (FailedAttempt(TpServerFaultError("x", status_code=500)), False),
        (FailedAttempt(TpRejectedError("x", status_code=429), 0.0), 0.0),
        (
            FailedAttempt(TpRejectedError("x", status_code=429), LONGEST_RETRY_AFTER_SECONDS),
            LONGEST_RETRY_AFTER_SECONDS,
        ),
        (FailedAttempt(TpRejectedError("x", status_code=429), LONGEST_RETRY_AFTER_SECONDS + 1), False),
    ],
)
def test_only_what_may_pass_is_tried_again(error: Exception, decision: bool | float) -> None:
    assert pause(error) == decision
    assert type(pause(error)) is type(decision)
