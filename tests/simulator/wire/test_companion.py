import asyncio
import json
from typing import Any
from urllib.parse import quote

import pytest

pytestmark = pytest.mark.slow


SMOKE = "Tests_CLI/test_system.py::TestStatus"


async def test_labs_are_those_the_user_may_use(still: Any) -> None:
    labs = {lab["name"]: lab for lab in (await still.post("/adc/get_automation_lab", {"user": "demo"})).json()}
    assert set(labs) == {"AT16_Combined_FSW", "AT21_HA_Pair", "AT33_New_NAC", "AT52_NCM_Only"}
    assert labs["AT16_Combined_FSW"] == {
        "name": "AT16_Combined_FSW",
        "status": "Available",
        "users": ["demo"],
        "usedby": ["rival"],
        "deployinfo": {"dev1": "at16-nac-1", "ip1": "10.15.52.152"},
    }
    assert json.loads(labs["AT21_HA_Pair"]["deployinfo"])["dev4"] == "AT21-switch"


async def test_a_lab_is_running_while_an_execution_or_an_upgrade_is(still: Any) -> None:
    await still.run(SMOKE)
    await still.upgrade(testbed="AT33_New_NAC", mode="build", build_number="6955")
    await still.simulator.advance(25)
    labs = (await still.post("/adc/get_automation_lab", {"user": "demo"})).json()
    status = {lab["name"]: lab["status"] for lab in labs}
    assert status["AT16_Combined_FSW"] == status["AT33_New_NAC"] == "Running"
    assert status["AT52_NCM_Only"] == "Available"


@pytest.mark.parametrize("path", ["get_automation_lab", "get_test_result"])
async def test_a_user_is_required(still: Any, path: str) -> None:
    assert (await still.post(f"/adc/{path}", {})).status_code == 400


async def test_versions_are_listed(still: Any) -> None:
    assert (await still.get("/adc/automation-verion/")).json() == ["7.4.9", "7.6.4", "7.6.5", "7.6.6"]


async def test_the_test_tree_is_recursive_and_every_pull_counts(still: Any) -> None:
    trees = await asyncio.gather(*(still.get("/adc/get_testcases") for _ in range(2)))
    assert still.simulator.state.testcase_pulls == 2
    assert trees[0].json() == trees[1].json()
    top = {child["identifier"]: child for child in trees[0].json()["children"]}
    assert set(top) == {"/Tests_CLI", "/Tests_GUI", "/Tests_HA", "/Tests_Log", "/Tests_Switch"}
    files = {child["identifier"]: child for child in top["/Tests_CLI"]["children"]}
    assert files["/Tests_CLI/security"]["children"][0]["name"] == "test_radius.py"
    leaves = files["/Tests_CLI/test_system.py"]["children"]
    assert leaves[0] == {
        "identifier": "/Tests_CLI/test_system.py::TestStatus::test_version_has_build",
        "name": "TestStatus::test_version_has_build",
    }
    assert "/Tests_CLI/test_names.py::test_address_name[a::b]" in {
        leaf["identifier"] for leaf in files["/Tests_CLI/test_names.py"]["children"]
    }
    assert (await still.get("/_sim/state")).json()["testcase_pulls"] == 2


async def test_tests_that_cannot_be_collected_are_an_error_and_tried_again(still: Any) -> None:
    controller = still.simulator.controller
    await controller.collect()
    broken = controller.tests_root / "Tests_Log" / "test_broken.py"
    broken.write_text("import nothing_of_this_name")
    with pytest.raises(RuntimeError, match="nothing_of_this_name"):
        await still.get("/adc/get_testcases")
    broken.unlink()
    assert (await still.get("/adc/get_testcases")).status_code == 200


async def test_a_users_executions_are_listed_newest_first(fast: Any) -> None:
    await fast.ended(SMOKE)
    await fast.run(SMOKE)
    rows = (await fast.post("/adc/get_test_result", {"user": "demo"})).json()
    assert [(row["id"], row["status"], row["progress"]) for row in rows] == [(447, "Initiating", 0), (446, "Done", 100)]
    assert rows[1]["report_file_path"].startswith("data/AutomationTest/test_446_report_")
    assert rows[1]["log_file_path"] == "/tmp/pytest_446.log"
    assert (await fast.post("/adc/get_test_result", {"user": "rival"})).json() == []


async def test_a_report_is_served_by_its_path_percent_encoded_or_not(fast: Any) -> None:
    path = (await fast.ended(SMOKE))["report_file_path"]
    for spelling in (path, quote(path, safe="/")):
        report = await fast.get(f"/{spelling}")
        assert report.status_code == 200
        assert report.headers["content-type"].startswith("text/html")
        assert "data-jsonblob" in report.text


async def test_no_other_file_is_served(fast: Any) -> None:
    path = (await fast.ended(SMOKE))["report_file_path"]
    for asked in (
        "data/AutomationTest/..%2F..%2F..%2Fruns%2F446%2Frack.json",
        "data/AutomationTest/../../../runs/446/rack.json",
        "data/AutomationTest/",
        f"{path}/x",
        "data/AutomationTest/%00",
    ):
        assert (await fast.get(f"/{asked}")).status_code == 404


async def test_a_report_is_not_there_before_the_end_nor_for_others(still: Any) -> None:
    await still.run(SMOKE)
    path = (await still.execution(446))["report_file_path"]
    assert (await still.get(f"/{path}")).json() == {"error": "report not found"}
    still.login("rival")
    await still.run(SMOKE, user="rival", lab="AT40_Rival_NAC")
    path = (await still.execution(447))["report_file_path"]
    still.login("demo")
    assert (await still.get(f"/{path}")).status_code == 403


async def test_a_path_that_is_no_endpoint_is_an_html_404(still: Any) -> None:
    for path in ("/adc/automation/upgrade/AT16_Combined_FSW", "/adc/pytest_run"):
        answer = await still.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("text/html")
