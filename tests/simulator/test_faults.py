import time
from typing import Any

import httpx2
import pytest

UPGRADE = "/adc/automation/upgrade/AT16_Combined_FSW/"
VERSIONS = "/adc/automation-verion/"


async def fault(tp: Any, **fields: Any) -> None:
    answer = await tp.post("/_sim/faults", fields)
    assert answer.status_code == 200, answer.text


async def test_a_status_strikes_the_named_endpoint_so_many_times(still: Any) -> None:
    await fault(still, endpoint="get_upgrade", kind="status", status=503, retry_after=7, times=2)
    assert (await still.get(VERSIONS)).status_code == 200
    struck = [await still.get(UPGRADE) for _ in range(3)]
    assert [answer.status_code for answer in struck] == [503, 503, 200]
    assert struck[0].headers["retry-after"] == "7"
    assert struck[0].json() == {"error": "simulated fault 503"}


async def test_a_backend_is_away_for_a_while(still: Any) -> None:
    await fault(still, kind="away", seconds=60)
    assert (await still.get(UPGRADE)).status_code == 502
    assert "<html>" in (await still.get("/nowhere")).text
    await still.simulator.advance(61)
    assert (await still.get(UPGRADE)).status_code == 200
    assert (await still.get("/_sim/faults")).json() == {"faults": []}


async def test_a_dropped_connection_is_a_transport_error(still: Any) -> None:
    await fault(still, kind="drop", times=1)
    with pytest.raises(httpx2.TransportError):
        await still.get(UPGRADE)
    assert (await still.get(UPGRADE)).status_code == 200


async def test_without_a_client_library_a_dropped_connection_is_a_reset(
    still: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tp_mcp.simulator.wire.faulty._CLIENT_LIBRARIES", ())
    await fault(still, kind="drop", times=1)
    with pytest.raises(ConnectionResetError):
        await still.get(UPGRADE)


@pytest.mark.parametrize("kind", ["drop", "status", "html", "redirect", "away", "expired_token"])
async def test_a_fault_before_the_work_prevents_it(still: Any, kind: str) -> None:
    await fault(still, endpoint="start_pytest", kind=kind)
    try:
        assert (await still.run("Tests_CLI")).status_code != 202
    except httpx2.TransportError:
        assert kind == "drop"
    assert list(still.simulator.state.executions) == []


@pytest.mark.parametrize("kind", ["drop", "status", "html", "redirect", "away", "expired_token"])
async def test_a_fault_after_the_work_hides_that_it_was_done(still: Any, kind: str) -> None:
    await fault(still, endpoint="start_pytest", kind=kind, when="after")
    try:
        assert (await still.run("Tests_CLI")).status_code != 202
    except httpx2.TransportError:
        assert kind == "drop"
    assert [row.exec_id for row in still.simulator.state.executions] == [446]


@pytest.mark.parametrize(
    ("kind", "status", "content"),
    [
        ("html", 200, "text/html; charset=utf-8"),
        ("redirect", 302, None),
        ("expired_token", 401, "application/json"),
        ("away", 502, "text/html; charset=utf-8"),
    ],
)
async def test_what_a_proxy_answers_instead(still: Any, kind: str, status: int, content: str | None) -> None:
    await fault(still, kind=kind, times=1)
    answer = await still.get(UPGRADE)
    assert (answer.status_code, answer.headers.get("content-type")) == (status, content)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_delay_gives_the_right_answer_late(still: Any, when: str) -> None:
    await fault(still, kind="delay", delay_seconds=0.1, when=when, times=1)
    before = time.monotonic()
    assert (await still.upgrade_state())["status"] == "SUCCESS"
    assert time.monotonic() - before >= 0.1


async def test_all_faults_can_be_taken_back(still: Any) -> None:
    await fault(still, kind="away")
    assert len((await still.get("/_sim/faults")).json()["faults"]) == 1
    await still.client.delete("/_sim/faults")
    assert (await still.get(UPGRADE)).status_code == 200


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "earthquake"}, "kind must be one of"),
        ({"kind": "drop", "endpoint": "get_weather"}, "endpoint must be"),
        ({"kind": "drop", "when": "never"}, "when must be"),
        ({"kind": "drop", "seconds": "9"}, "seconds must be"),
        ({"kind": "drop", "count": 3}, "unknown: ['count']"),
    ],
)
async def test_a_fault_that_makes_no_sense_is_refused(still: Any, fields: Any, message: str) -> None:
    answer = await still.post("/_sim/faults", fields)
    assert answer.status_code == 400
    assert message in answer.json()["error"]
