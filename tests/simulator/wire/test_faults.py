import json
import time
from typing import Any

import httpx2
import pytest

UPGRADE = "/adc/automation/upgrade/AT16_Combined_FSW/"
VERSIONS = "/adc/automation-verion/"
EVERY_KIND_BUT_DELAY = ["drop", "status", "html", "redirect", "away", "expired_token", "truncated", "malformed"]


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
    monkeypatch.setattr("tp_mcp.simulator.wire.fault_layer._CLIENT_LIBRARIES", ())
    await fault(still, kind="drop", times=1)
    with pytest.raises(ConnectionResetError):
        await still.get(UPGRADE)


@pytest.mark.parametrize("kind", EVERY_KIND_BUT_DELAY)
async def test_a_fault_before_the_work_prevents_it(still: Any, kind: str) -> None:
    await fault(still, endpoint="start_pytest", kind=kind)
    try:
        answer = await still.run("Tests_CLI")
        assert answer.status_code != 202 or kind == "truncated"
        assert "exec_id" not in answer.text
    except httpx2.TransportError:
        assert kind == "drop"
    assert list(still.simulator.state.executions) == []


@pytest.mark.parametrize("kind", EVERY_KIND_BUT_DELAY)
async def test_a_fault_after_the_work_hides_that_it_was_done(still: Any, kind: str) -> None:
    await fault(still, endpoint="start_pytest", kind=kind, when="after")
    try:
        answer = await still.run("Tests_CLI")
        assert answer.status_code != 202 or kind == "truncated"
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


async def test_a_truncated_answer_is_a_whole_body_of_broken_json(still: Any) -> None:
    whole = (await still.get(UPGRADE)).text
    await fault(still, kind="truncated", times=1)
    answer = await still.get(UPGRADE)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.text == whole[: len(whole) // 2]
    assert int(answer.headers["content-length"]) == len(answer.content)
    with pytest.raises(ValueError, match="line 1"):
        answer.json()


async def test_a_truncated_answer_keeps_its_status(still: Any) -> None:
    await fault(still, kind="truncated", when="after", endpoint="start_pytest")
    answer = await still.run("Tests_CLI")
    assert answer.status_code == 202
    assert answer.text.startswith('{"exec_id":446')
    await fault(still, kind="truncated")
    assert (await still.get("/adc/automation/pytest/9/")).status_code == 404


@pytest.mark.parametrize(
    ("shape", "upgrade", "versions"),
    [
        (None, ["testbed", "status", "target_ips", "per_device"], {"results": ["7.4.9", "7.6.4", "7.6.5", "7.6.6"]}),
        ("nulls", {"testbed": None, "status": None, "target_ips": None, "per_device": None}, [None] * 4),
        ("text", None, None),
    ],
)
async def test_a_malformed_answer_is_json_that_was_not_promised(
    still: Any, shape: str | None, upgrade: Any, versions: Any
) -> None:
    await fault(still, kind="malformed", **({"shape": shape} if shape else {}))
    answers = [await still.get(UPGRADE), await still.get(VERSIONS)]
    assert {(one.status_code, one.headers["content-type"]) for one in answers} == {(200, "application/json")}
    first, second = (one.json() for one in answers)
    if shape == "text":
        assert json.loads(first)["status"] == "SUCCESS"
        assert isinstance(second, str)
    else:
        assert (first if shape else [*first[0]]) == upgrade
        assert second == versions


async def test_a_malformed_answer_that_was_no_json_is_null(still: Any) -> None:
    await fault(still, kind="malformed")
    answer = await still.get("/nowhere")
    assert (answer.status_code, answer.json()) == (200, None)


async def test_a_fault_can_be_for_one_testbed_or_execution_alone(still: Any) -> None:
    await fault(still, kind="away", match="/upgrade/AT16_Combined_FSW/")
    await fault(still, kind="status", match="/pytest/447/", times=1)
    assert (await still.get(UPGRADE)).status_code == 502
    assert (await still.get("/adc/automation/upgrade/AT33_New_NAC/")).status_code == 200
    struck = [await still.get(f"/adc/automation/pytest/{exec_id}/") for exec_id in (446, 447, 447)]
    assert [answer.status_code for answer in struck] == [404, 500, 404]


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
        ({"kind": "drop", "match": 446}, "match must be"),
        ({"kind": "malformed", "shape": "round"}, "shape must be"),
        ({"kind": "drop", "count": 3}, "unknown: ['count']"),
    ],
)
async def test_a_fault_that_makes_no_sense_is_refused(still: Any, fields: Any, message: str) -> None:
    answer = await still.post("/_sim/faults", fields)
    assert answer.status_code == 400
    assert message in answer.json()["error"]
