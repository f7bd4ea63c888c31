import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest


def payload(token: str) -> Any:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


async def test_a_login_mints_a_token_with_name_email_and_expiry(start: Callable[..., Any]) -> None:
    async with start() as tp:
        del tp.client.headers["Authorization"]
        answer = await tp.post("/token-auth/", {"username": "demo", "password": "demo-password"})
        claims = payload(answer.json()["token"])
        assert claims["username"] == "demo"
        assert claims["email"] == "demo@tp.example"
        assert claims["exp"] == pytest.approx(time.time() + 12 * 3600, abs=5)


@pytest.mark.parametrize(
    "body", [{}, {"username": "demo", "password": "x"}, {"username": ["demo"], "password": "demo-password"}]
)
async def test_wrong_credentials_get_no_token(still: Any, body: Any) -> None:
    answer = await still.post("/token-auth/", body)
    assert answer.status_code == 400
    assert "Unable to log in" in answer.json()["error"]


@pytest.mark.parametrize("header", ["", "JWT", "JWT nonsense", "Bearer {token}"])
async def test_every_endpoint_asks_for_a_token(still: Any, header: str) -> None:
    token = still.client.headers["Authorization"].removeprefix("JWT ")
    still.client.headers["Authorization"] = header.format(token=token)
    asked = [
        await still.get("/adc/automation/upgrade/AT16_Combined_FSW/"),
        await still.get("/adc/automation/pytest/446/"),
        await still.get("/adc/get_testcases"),
        await still.get("/adc/automation-verion/"),
        await still.get("/data/AutomationTest/x.html"),
        await still.upgrade(mode="build", build_number="6955"),
        await still.run("Tests_CLI"),
        await still.post("/adc/get_automation_lab", {"user": "demo"}),
        await still.post("/adc/get_test_result", {"user": "demo"}),
        await still.post("/adc/test_exec_kill", {"id": 446}),
    ]
    assert {answer.status_code for answer in asked} == {401}
    assert all(answer.json()["error"] for answer in asked)
    assert still.simulator.state.testcase_pulls == 0


async def test_a_token_of_another_issuer_is_refused(still: Any, start: Callable[..., Any]) -> None:
    async with start() as other:
        still.client.headers["Authorization"] = other.client.headers["Authorization"]
    assert (await still.get("/adc/get_testcases")).status_code == 401


async def test_a_token_expires(still: Any) -> None:
    path = "/adc/automation/upgrade/AT16_Combined_FSW/"
    await still.simulator.advance(12 * 3600 - 60)
    assert (await still.get(path)).status_code == 200
    await still.simulator.advance(61)
    answer = await still.get(path)
    assert answer.status_code == 401
    assert answer.json() == {"error": "Signature has expired."}


async def test_all_tokens_can_be_expired_at_once(still: Any) -> None:
    await still.post("/_sim/expire_tokens")
    assert (await still.get("/adc/automation-verion/")).status_code == 401
    still.login("demo")
    assert (await still.get("/adc/automation-verion/")).status_code == 200


async def test_behind_single_sign_on_the_login_is_a_redirect_to_a_page(start: Callable[..., Any]) -> None:
    async with start(sso_only=True) as tp:
        answer = await tp.post("/token-auth/", {"username": "demo", "password": "demo-password"})
        assert answer.status_code == 302
        page = await tp.get(answer.headers["location"])
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")


async def test_a_token_can_be_handed_out_with_a_lifetime(still: Any) -> None:
    token = (await still.post("/_sim/token", {"username": "rival", "lifetime_seconds": 30})).json()["token"]
    still.client.headers["Authorization"] = f"JWT {token}"
    assert (await still.get("/adc/automation/upgrade/AT40_Rival_NAC/")).status_code == 200
    await still.simulator.advance(31)
    assert (await still.get("/adc/automation/upgrade/AT40_Rival_NAC/")).status_code == 401
    assert (await still.post("/_sim/token", {"username": "nobody"})).status_code == 404
