from collections.abc import Mapping
from typing import Any

import pytest

from tp_mcp.api.endpoints import ENDPOINTS
from tp_mcp.connectors.loader import load_builtin_manifest
from tp_mcp.connectors.manifest import ToolManifest
from tp_mcp.connectors.match import matches
from tp_mcp.connectors.template import render_text, render_value

# The keys that Forge's public format knows in these places.
FORGE_TOP = {
    *("id", "name", "icon", "version", "author", "category", "mode", "min_forge_version", "description"),
    *("catalog_summary", "settings", "auth", "http", "test", "tools"),
}
FORGE_TOOL = {
    *("description", "protocol", "destructive", "parameters", "request", "returns", "items_path", "response_fields"),
    *("timeout_ms", "async"),
}
FORGE_ASYNC = {
    *("poll", "poll_args", "done_match", "interval_sec", "timeout_sec", "max_polls", "on_done", "on_fail", "progress"),
}
OURS_IN_ASYNC = {"fail_match", "stalled_after_sec", "not_started_after_sec"}

PARAMETERS = {
    "start_upgrade": {"testbed", "mode", "command", "build_number", "version"},
    "get_upgrade": {"testbed"},
    "run_pytest": {"lab", "testcase", "argument", "extra_pytest_options"},
    "get_execution": {"exec_id"},
    "cancel_execution": {"exec_id"},
    "list_labs": set(),
    "list_testcases": set(),
    "list_versions": set(),
    "list_executions": set(),
    "lock_lab": {"lab"},
    "unlock_lab": {"lab"},
}
STARTS = {"start_upgrade", "run_pytest"}
UPGRADE = {
    "testbed": "AT16_Combined_FSW",
    "status": "PROGRESS",
    "target_ips": ["10.15.52.152"],
    "per_device": [{"ip": "10.15.52.152", "status": "PROGRESS", "updated_at": "2026-05-28T18:14:19+00:00"}],
}
EXECUTION = {
    "exec_id": 446,
    "status": "Done",
    "lab": "AT16_Combined_FSW",
    "pass_count": 40,
    "fail_count": 2,
    "skip_count": 1,
    "error_count": 0,
    "total_count": 43,
    "report_file_path": "data/AutomationTest/test_446_report.html",
    "log_size": 25338,
}


@pytest.fixture(scope="module")
def tools() -> Mapping[str, ToolManifest]:
    return load_builtin_manifest().manifest.tools


@pytest.fixture(scope="module")
def blocks(tools: Mapping[str, ToolManifest]) -> dict[str, Any]:
    return {name: tool.async_block for name, tool in tools.items() if tool.async_block}


def test_it_loads_without_a_warning() -> None:
    loaded = load_builtin_manifest()
    assert loaded.warnings == ()
    assert loaded.manifest.id == "tp"
    assert loaded.manifest.settings["token"].type == "secret"


def test_it_uses_keys_that_forge_knows_and_three_of_its_own(tp_yaml: dict[str, Any]) -> None:
    assert set(tp_yaml) <= FORGE_TOP
    for tool in tp_yaml["tools"].values():
        assert set(tool) <= FORGE_TOOL
        assert set(tool.get("async", {})) <= FORGE_ASYNC | OURS_IN_ASYNC
        # Forge compares with `equals` alone.
        assert set(tool.get("async", {}).get("done_match", {})) <= {"path", "equals"}


def test_its_parameters_carry_the_names_of_tp(tools: Mapping[str, ToolManifest]) -> None:
    assert {name: set(tool.parameters) for name, tool in tools.items()} == PARAMETERS


def test_what_changes_the_world_is_destructive_and_watched(tools: Mapping[str, ToolManifest]) -> None:
    writes = STARTS | {"cancel_execution", "lock_lab", "unlock_lab"}
    assert {name for name, tool in tools.items() if tool.destructive} == writes
    assert {name for name, tool in tools.items() if tool.async_block} == STARTS


def test_every_endpoint_is_there_but_the_log_in_and_the_report_which_are_no_json() -> None:
    requests = [tool.request for tool in load_builtin_manifest().manifest.tools.values()]
    called = {(request.method, request.url.removeprefix("{settings.base_url}")) for request in requests}
    paths = {"{testbed}": "{args.testbed}", "{exec_id}": "{args.exec_id}"}
    expected = set()
    for endpoint in ENDPOINTS.values():
        path = endpoint.path
        for ours, theirs in paths.items():
            path = path.replace(ours, theirs)
        expected.add((endpoint.method, path))
    assert expected - called == {("POST", "/token-auth/"), ("GET", "/{report_file_path}")}
    assert called <= expected


def test_every_parameter_and_tool_is_described_for_a_model(tools: Mapping[str, ToolManifest]) -> None:
    for name, tool in tools.items():
        assert len(tool.description) > 60, name
        assert tool.returns, name
        assert all(len(parameter.description) > 20 for parameter in tool.parameters.values()), name
        assert tool.response_fields or name == "list_versions" or tool.destructive, name


def test_every_request_carries_the_token_as_tp_wants_it(tools: Mapping[str, ToolManifest]) -> None:
    for tool in tools.values():
        assert tool.request.headers == {"Authorization": "JWT {settings.token}"}


@pytest.mark.parametrize(("tool", "minutes"), [("start_upgrade", 45), ("run_pytest", 375)])
def test_the_limits_agree_with_one_another(blocks: dict[str, Any], tool: str, minutes: int) -> None:
    block = blocks[tool]
    assert block.interval_sec == 15
    assert block.timeout_sec == minutes * 60
    assert block.max_polls * block.interval_sec == block.timeout_sec


def test_a_body_carries_the_arguments_with_their_types(tools: Mapping[str, ToolManifest]) -> None:
    roots = {
        "settings": {"username": "jdoe", "base_url": "http://tp:8000"},
        "args": {"lab": "AT16", "testcase": ["a.py"], "argument": "-x", "extra_pytest_options": ""},
    }
    body = render_value(tools["run_pytest"].request.body, roots)
    assert body == {"user": "jdoe", "lab": "AT16", "testcase": ["a.py"], "argument": "-x", "extra_pytest_options": ""}


def test_the_poll_of_a_run_asks_for_the_number_that_was_returned(blocks: dict[str, Any]) -> None:
    block = blocks["run_pytest"]
    assert render_value(block.poll_args, {"result": {"exec_id": 446}}) == {"exec_id": 446}


@pytest.mark.parametrize(
    ("tool", "status", "done", "failed"),
    [
        ("start_upgrade", "UNKNOWN", False, False),
        ("start_upgrade", "PROGRESS", False, False),
        ("start_upgrade", "SUCCESS", True, False),
        ("start_upgrade", "FAILURE", False, True),
        ("run_pytest", "Initiating", False, False),
        ("run_pytest", "Running", False, False),
        ("run_pytest", "Done", True, False),
        ("run_pytest", "Failed", False, True),
        ("run_pytest", "Cancelled", False, True),
    ],
)
def test_every_status_of_tp_is_told_apart(
    blocks: dict[str, Any], tool: str, status: str, done: bool, failed: bool
) -> None:
    block = blocks[tool]
    assert matches(block.done_match, {"status": status}) is done
    assert matches(block.fail_match, {"status": status}) is failed


def test_the_end_of_an_upgrade_reads_well(blocks: dict[str, Any]) -> None:
    block = blocks["start_upgrade"]
    roots = {
        "args": {"testbed": "AT16_Combined_FSW", "mode": "build", "build_number": "6957"},
        "poll": {**UPGRADE, "status": "SUCCESS"},
    }
    assert render_text(block.on_done.message, roots) == (
        "The upgrade of AT16_Combined_FSW is done: SUCCESS on 10.15.52.152. Requested: mode build 6957"
    )


def test_no_message_shows_the_upgrade_command_because_it_holds_a_password(blocks: dict[str, Any]) -> None:
    block = blocks["start_upgrade"]
    roots = {
        "args": {"testbed": "AT16", "mode": "command", "command": "execute restore image scp /a h u s3cret"},
        "poll": UPGRADE,
        "result": {},
    }
    for message in (block.on_done.message, block.on_fail.message, block.progress.message):
        assert "s3cret" not in render_text(message, roots)


def test_the_end_of_a_run_tells_counts_and_the_report_s_address(blocks: dict[str, Any]) -> None:
    block = blocks["run_pytest"]
    roots = {
        "args": {"lab": "AT16_Combined_FSW", "testcase": ["Tests_CLI"], "argument": "-k radius"},
        "result": {"exec_id": 446},
        "poll": EXECUTION,
        "settings": {"base_url": "http://tp:8000"},
    }
    assert render_text(block.on_done.message, roots) == (
        "Execution 446 on AT16_Combined_FSW ended (Done): 40 passed, 2 failed, 0 errors, 1 skipped, 43 in total. "
        "Report: http://tp:8000/data/AutomationTest/test_446_report.html. Requested: Tests_CLI -k radius"
    )


def test_a_run_that_was_lost_early_still_gets_a_readable_end(blocks: dict[str, Any]) -> None:
    block = blocks["run_pytest"]
    roots = {"args": {"lab": "AT16", "testcase": ["a.py"]}, "result": {"exec_id": 1}, "poll": {"status": "Failed"}}
    text = render_text(block.on_fail.message, roots)
    assert text.startswith("Execution 1 on AT16 did not run to its end: the last status was Failed, with unknown")


def test_progress_tells_how_far_the_job_is(blocks: dict[str, Any]) -> None:
    roots = {"args": {"testbed": "AT16"}, "poll": UPGRADE, "poll_count": 3, "max_polls": 180}
    assert render_text(blocks["start_upgrade"].progress.message, roots) == (
        "Upgrade of AT16: PROGRESS on 10.15.52.152, last sign of life 2026-05-28T18:14:19+00:00, poll 3 of at most 180"
    )
