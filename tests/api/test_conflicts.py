"""A 409 comes with what a companion read shows, and is never hidden by it."""

from typing import Any

import anyio
import httpx2
import pytest

from tp_mcp.api import client as module
from tp_mcp.api.client import TpClient
from tp_mcp.api.requests import PytestRequest, UpgradeRequest
from tp_mcp.errors import TpBusyError

UPGRADE = UpgradeRequest.checked(testbed="AT16", mode="ga", version="7.6.5")
RUN = PytestRequest.checked(lab="AT16", testcase=["a"])
BUSY = httpx2.Response(409, json={"error": "already in flight on 'AT16'"})


async def busy_upgrade(client: TpClient) -> TpBusyError:
    with pytest.raises(TpBusyError, match="already in flight on 'AT16'") as caught:
        await client.start_upgrade(UPGRADE)
    assert caught.value.status_code == 409
    assert not caught.value.may_have_acted
    return caught.value


async def busy_run(client: TpClient) -> TpBusyError:
    with pytest.raises(TpBusyError, match="already in flight on 'AT16'") as caught:
        await client.start_pytest(RUN)
    assert caught.value.status_code == 409
    return caught.value


@pytest.fixture(autouse=True)
def busy(tp: Any) -> None:
    tp.on("/adc/automation/upgrade/", BUSY)
    tp.on("/adc/automation/pytest/", BUSY)


async def test_a_busy_testbed_shows_how_far_its_upgrade_is(client: TpClient, tp: Any) -> None:
    device = {"ip": "10.0.0.1\x1b[2J", "status": "PROGRESS", "updated_at": "2026-05-28T18:14:19+00:00"}
    status = {"status": "PROGRESS", "per_device": [device, {"ip": "10.0.0.2", "status": "SUCCESS"}]}
    tp.on("/adc/automation/upgrade/AT16/", httpx2.Response(200, json=status))
    error = await busy_upgrade(client)
    assert (
        "has the status PROGRESS: 10.0.0.1 PROGRESS (last sign of life 2026-05-28T18:14:19+00:00), 10.0.0.2 SUCCESS."
        in str(error)
    )
    assert error.remedy == (
        'An upgrade cannot be cancelled. start_watch(tool="get_upgrade", args={"testbed": "AT16"}) watches it to its '
        "end; start again at its end."
    )


async def test_an_upgrade_without_a_status_is_said_to_be_unknown(client: TpClient, tp: Any) -> None:
    tp.on("/adc/automation/upgrade/AT16/", httpx2.Response(200, json={}))
    assert "has the status unknown." in str(await busy_upgrade(client))


@pytest.mark.parametrize(
    "answer", [httpx2.Response(503), httpx2.ConnectError("x"), httpx2.Response(200, text="no JSON")], ids=str
)
async def test_a_failing_companion_read_never_hides_the_409(client: TpClient, tp: Any, answer: Any) -> None:
    tp.on("/adc/automation/upgrade/AT16/", answer)
    tp.on("/adc/get_test_result", answer)
    assert "Its progress could not be read." in str(await busy_upgrade(client))
    assert "Which execution it is could not be read." in str(await busy_run(client))
    assert len(tp.sent("/adc/automation/upgrade/AT16/")) == 1


async def test_a_slow_companion_read_never_delays_the_409_for_long(
    client: TpClient, tp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COMPANION_SECONDS", 0.01)

    class Slow:
        async def get_upgrade(self, testbed: str) -> Any:
            assert testbed == "AT16"
            await anyio.sleep(60)

        async def list_executions(self) -> Any:
            await anyio.sleep(60)

    first = TpBusyError("taken", status_code=409)
    assert (await module.upgrade_under_way(first, Slow(), "AT16")).message == "taken"
    assert (await module.who_holds_the_lab(first, Slow(), "AT16")).message == "taken"


async def test_a_busy_lab_shows_the_executions_that_hold_it(client: TpClient, tp: Any) -> None:
    rows = [
        {"id": 1, "lab": "AT16", "status": "Done"},
        {"id": 2, "lab": "AT16", "status": "Running"},
        {"id": 3, "lab": "B", "status": "Running"},
    ]
    tp.on("/adc/get_test_result", httpx2.Response(200, json=rows))
    error = await busy_run(client)
    assert "It is execution 2 (Running), of the user who is logged in to TP." in str(error)
    # Several people may share that user.
    assert error.remedy == (
        'start_watch(tool="get_execution", args={"exec_id": 2}) watches it to its end. '
        "Cancel it only if your user started it."
    )


async def test_a_lab_held_by_somebody_else_says_so(client: TpClient, tp: Any) -> None:
    tp.on("/adc/get_test_result", httpx2.Response(200, json=[]))
    error = await busy_run(client)
    assert "none of your own recent executions" in str(error)
    assert "another lab" in error.remedy
