from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tp_mcp.cli.commands import app
from tp_mcp.connectors import examination
from tp_mcp.connectors.examination import examine

INSTANCES = {
    "type": "instances",
    "fields": {"base_url": {"type": "string"}, "token": {"type": "secret"}, "zone": {"type": "select"}},
}


def problems_of(document: Any) -> set[str]:
    return set(map(str, examine(yaml.safe_dump(document)).problems))


def warnings_of(document: Any) -> set[str]:
    examination = examine(yaml.safe_dump(document))
    assert examination.problems == ()
    return set(map(str, examination.warnings))


def test_what_is_allowed_in_a_request_and_probably_not_meant_warns(small: dict[str, Any]) -> None:
    tool = small["tools"]["get_lift"]
    tool["parameters"] |= {"shaft": {"type": "string", "url_encoding": "none"}, "building": {"type": "string"}}
    tool["parameters"]["instance"] = {"type": "string"}
    tool["request"] |= {"url": "https://{args.ride}.lift.example/", "body": {"shaft": "{args.shaft}"}}
    assert warnings_of(small) == {
        "tools.get_lift.request.url: an argument chooses the host; tp-mcp does not send such a request",
        "tools.get_lift.request.method: GET has a body, which many servers ignore",
        "tools.get_lift.parameters.building: is not used in the request",
        "tools.get_lift.parameters.shaft.url_encoding: only affects parameters in the url",
    }


def test_the_settings_of_instances_are_named_as_if_they_stood_alone(small: dict[str, Any]) -> None:
    small["settings"] = {"instances": INSTANCES}
    small["tools"]["start_lift"]["async"]["on_done"]["message"] = "{settings.base_url} {settings.token}"
    assert problems_of(small) == {
        "settings.instances.fields.zone: type select needs options",
        (
            "tools.start_lift.async.on_done.message: {settings.token} is a secret, which a message or a chained call "
            "would reveal"
        ),
    }


def test_a_tool_of_another_protocol_is_left_out_with_a_warning(small: dict[str, Any]) -> None:
    small["tools"]["reboot"] = {"description": "Reboots it.", "protocol": "ssh", "ssh": {"commands": ["reboot"]}}
    examination = examine(yaml.safe_dump(small))
    assert examination.manifest is not None
    assert set(examination.manifest.tools) == {"start_lift", "get_lift"}
    assert warnings_of(small) == {"tools.reboot.protocol: ssh is not supported here, so the tool is skipped"}
    small["tools"] = {"reboot": small["tools"]["reboot"]}
    assert problems_of(small) == {"tools: must be non-empty"}


def test_a_form_is_fields_or_one_template(small: dict[str, Any]) -> None:
    request = small["tools"]["start_lift"]["request"]
    del request["body"]
    for form in ("{args.floor}", {"floor": "{args.floor}"}):
        request["body_form"] = form
        assert warnings_of(small) == set()
    request["body_form"] = 7
    assert problems_of(small) == {
        (
            "tools.start_lift.request.body_form: must be a mapping of keys and values or a string (quote it if "
            "it looks like a number or a date)"
        )
    }


def test_a_value_of_several_kinds_is_told_with_all_of_them(small: dict[str, Any]) -> None:
    block = small["tools"]["start_lift"]["async"]
    block["done_match"] = {"path": "x", "equals": [1]}
    block["fail_match"] = {"path": "x", "in": [1, {}]}
    what = "must be true or false or a whole number or a number or a string (quote it"
    found = sorted(problems_of(small))
    assert [problem.partition(": ")[0] for problem in found] == [
        "tools.start_lift.async.done_match.equals",
        "tools.start_lift.async.fail_match.in.1",
    ]
    assert all(problem.partition(": ")[2].startswith(what) for problem in found)


def test_a_tool_that_is_no_mapping_does_not_hide_what_is_wrong_with_another(small: dict[str, Any]) -> None:
    small["tools"]["lower_lift"] = 7
    small["tools"]["start_lift"]["request"]["url"] = "{settings.nope}"
    small["tools"]["bad name!"] = {"description": 1}
    assert {problem.partition(": ")[0] for problem in problems_of(small)} == {
        "tools.lower_lift",
        "tools.bad name!",
        "tools.bad name!.description",
        "tools.bad name!.protocol",
        "tools.bad name!.request",
        "tools.start_lift.request.url",
    }


def test_what_two_things_are_wrong_about_one_key_is_told_in_one_line(small: dict[str, Any]) -> None:
    small["tools"]["start_lift"]["parameters"]["a b"] = 7
    (problem,) = problems_of(small)
    assert problem.startswith("tools.start_lift.parameters.a b: must match ")
    assert problem.endswith("; must be a mapping of keys and values")


def test_aliases_that_stand_for_billions_are_refused_before_they_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "MOST_NODES", 10_000)
    layers = ["l0: &l0 [a, a, a, a, a, a, a, a, a]"]
    layers.extend(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 12))
    (problem,) = examine("\n".join(layers)).problems
    assert str(problem) == "the file is YAML with a value that cannot be read"
    assert examine("a: &a [*a]").problems == (problem,)


def test_the_builtin_connector_is_checked_by_the_command() -> None:
    path = str(Path(__file__).parents[2] / "connectors" / "tp.yaml")
    result = CliRunner().invoke(app, ["connector", "check", path])
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{path} can be used: tp ")


def test_the_command_shows_warnings_and_still_succeeds(small: dict[str, Any], tmp_path: Path) -> None:
    small["kanban"] = {}
    path = tmp_path / "lift.yaml"
    path.write_text(yaml.safe_dump(small), encoding="utf-8")
    result = CliRunner().invoke(app, ["connector", "check", str(path)])
    assert result.exit_code == 0
    assert f"warning: {path}:3: kanban: is not a key of the format and is ignored\n" in result.stdout
    assert f"{path} can be used: lift 1.2.3, 2 tools, 1 watched." in result.stdout


def test_the_command_says_what_it_cannot_read(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["connector", "check", str(tmp_path / "missing.yaml")])
    assert result.exit_code == 1
    assert "cannot be read: No such file" in result.stderr


def test_a_manifest_of_nothing_is_told_all_that_it_needs() -> None:
    assert [str(problem) for problem in examine("tols: {}").problems] == [
        "id: is required",
        "name: is required",
        "version: is required",
        "category: is required",
        "mode: is required",
        "tools: is required; 'tols' may be a misspelling of it",
    ]
