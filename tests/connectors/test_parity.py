"""The connector's tools and the server's own ones ask TP the same and understand the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.connectors.parity import (
    CASES,
    TREE,
    Case,
    Tap,
    answer_differences,
    called,
    declared_differences,
    ran,
    request_differences,
)
from tests.support.world import open_world
from tp_mcp.connectors.loader import load_builtin_manifest, parse_manifest
from tp_mcp.connectors.manifest import Manifest
from tp_mcp.errors import ConnectorError
from tp_mcp.server.toolset import ALL_TOOLS

TOOLS = {tool.name: tool for tool in ALL_TOOLS}


def test_parameters_defaults_and_required_flags_agree() -> None:
    assert declared_differences(load_builtin_manifest().manifest, TOOLS) == []


def test_every_tool_of_the_connector_is_called() -> None:
    assert {case.tool for case in CASES} == set(load_builtin_manifest().manifest.tools)


async def differences(case: Case, manifest: Manifest, directory: Path) -> list[str]:
    tap = Tap()
    async with open_world(directory / "own", tree=TREE, transport=tap) as world:
        own = await called(world, tap, case)
        record = world.simulator.state.record.view()["accepted"]
    tap = Tap()
    async with open_world(directory / "connector", tree=TREE, transport=tap) as world:
        try:
            request, shown = await ran(world, tap, case, manifest)
        except ConnectorError as refused:
            return [f"TP refused it: {refused}"]
        recorded = world.simulator.state.record.view()["accepted"]
    found = request_differences(own, request)
    answers = [answer for sent, answer in own if sent == request]
    # What a read shows may be read again later in the same call.
    found += answer_differences(case.tool, answers[0], shown) if answers else []
    found += [] if _writes(record) == _writes(recorded) else [f"TP has {_writes(recorded)}, and not {_writes(record)}"]
    return found


def _writes(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: row[key] for key in ("endpoint", "user", "lab", "asked", "exec_id", "tasks")} for row in rows]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.tool}-{len(case.arguments)}")
async def test_both_send_the_same_and_read_the_same(case: Case, tmp_path: Path) -> None:
    assert await differences(case, load_builtin_manifest().manifest, tmp_path) == []


def drifted(tp_yaml: dict[str, Any], change: Callable[[dict[str, Any]], object]) -> Manifest:
    change(tp_yaml["tools"])
    return parse_manifest(yaml.safe_dump(tp_yaml), source="drifted.yaml").manifest


def rename_parameter(tools: dict[str, Any]) -> None:
    tools["get_upgrade"]["parameters"]["lab"] = tools["get_upgrade"]["parameters"].pop("testbed")
    tools["get_upgrade"]["request"]["url"] = tools["get_upgrade"]["request"]["url"].replace("testbed", "lab")
    tools["start_upgrade"]["async"]["poll_args"] = {"lab": "{args.testbed}"}


DECLARED: dict[str, tuple[Callable[[dict[str, Any]], object], list[str]]] = {
    "a tool of another name": (lambda tools: tools.update(kill=tools.pop("cancel_execution")), ["kill is no tool"]),
    "a parameter of another name": (
        rename_parameter,
        ["get_upgrade: lab is the", "get_upgrade: testbed is the server"],
    ),
    "a parameter that need not be given": (
        lambda tools: tools["run_pytest"]["parameters"]["lab"].pop("required"),
        ["run_pytest: lab is required by one"],
    ),
    "another default": (
        lambda tools: tools["run_pytest"]["parameters"]["argument"].update(default="-x"),
        ["run_pytest: argument has another default"],
    ),
    "another type": (
        lambda tools: tools["get_execution"]["parameters"]["exec_id"].update(type="string"),
        ["get_execution: exec_id is string"],
    ),
    "another choice": (
        lambda tools: tools["start_upgrade"]["parameters"]["mode"]["options"].append("nightly"),
        ["start_upgrade: mode is select"],
    ),
    "a write that is not marked": (
        lambda tools: tools["lock_lab"].update(destructive=False),
        ["lock_lab: one changes the world"],
    ),
}


@pytest.mark.parametrize("how", DECLARED)
def test_a_drift_of_the_declaration_is_noticed(tp_yaml: dict[str, Any], how: str) -> None:
    change, expected = DECLARED[how]
    found = declared_differences(drifted(tp_yaml, change), TOOLS)
    assert len(found) == len(expected)
    assert all(any(one.startswith(said) for one in found) for said in expected)


SENT: dict[str, tuple[str, Callable[[dict[str, Any]], object]]] = {
    "another path": (
        "get_upgrade",
        lambda tools: tools["get_upgrade"]["request"].update(
            url="{settings.base_url}/adc/automation/upgrade/AT21_HA_Pair/"
        ),
    ),
    "another scheme": (
        "list_versions",
        lambda tools: tools["list_versions"]["request"]["headers"].update(Authorization="jwt {settings.token}"),
    ),
    "a field that is left out": ("run_pytest", lambda tools: tools["run_pytest"]["request"]["body"].pop("argument")),
    "another action": ("unlock_lab", lambda tools: tools["unlock_lab"]["request"]["body"].update(action="lock")),
    "an answer that is cut": (
        "list_labs",
        lambda tools: tools["list_labs"].update(response_fields=["name", "status"]),
    ),
}


@pytest.mark.parametrize("how", SENT)
async def test_a_drift_of_what_is_sent_or_read_is_noticed(tp_yaml: dict[str, Any], how: str, tmp_path: Path) -> None:
    tool, change = SENT[how]
    case = next(case for case in CASES if case.tool == tool)
    assert await differences(case, drifted(tp_yaml, change), tmp_path) != []
