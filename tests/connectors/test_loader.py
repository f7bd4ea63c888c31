import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from tp_mcp.connectors import loader
from tp_mcp.connectors.loader import (
    MANIFEST_MAX_BYTES,
    LoadedManifest,
    first_manifest,
    load_builtin_manifest,
    load_manifest,
    parse_manifest,
)
from tp_mcp.connectors.manifest import Match
from tp_mcp.errors import ManifestError


def load(document: Any) -> LoadedManifest:
    return parse_manifest(yaml.safe_dump(document), source="lift.yaml")


def problems_of(document: Any) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        load(document)
    first, *lines = caught.value.message.strip().split("\n")
    assert first == "The connector manifest lift.yaml cannot be used:"
    assert caught.value.remedy
    return [re.sub(r"^- (lift\.yaml:\d+: )?", "", line) for line in lines]


def warnings_of(document: Any) -> set[str]:
    return set(map(str, load(document).warnings))


def test_a_manifest_is_read_into_frozen_models(small: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "lift.yaml"
    path.write_text(yaml.safe_dump(small), encoding="utf-8")
    loaded = load_manifest(path)
    assert loaded.warnings == ()
    block = loaded.manifest.tools["start_lift"].async_block
    assert block is not None
    assert (block.poll, block.interval_sec, block.timeout_sec, block.max_polls) == ("get_lift", 10, 60, 6)
    assert block.done_match == Match(path="state.floor", equals="{args.floor}")
    assert loaded.manifest.tools["get_lift"].async_block is None
    with pytest.raises(ValidationError, match="frozen"):
        setattr(block, "interval_sec", 1)  # noqa: B010 - a plain assignment is refused by the type checker already


def test_unknown_keys_warn_with_their_path_and_go_on(small: dict[str, Any]) -> None:
    small["kanban"] = {"x": 1}
    small["tools"]["start_lift"]["async"]["on_don"] = 1
    small["tools"]["start_lift"]["async"]["done_match"]["equal"] = 1
    small["tools"]["get_lift"]["parameters"]["ride"]["hint"] = 1
    small["settings"]["token"]["hint"] = 1
    assert warnings_of(small) == {
        f"{path}: is not a key of the format and is ignored{nearest}"
        for path, nearest in (
            ("kanban", ""),
            ("tools.start_lift.async.on_don", " (the nearest is on_done)"),
            ("tools.start_lift.async.done_match.equal", " (the nearest is equals)"),
            ("tools.get_lift.parameters.ride.hint", ""),
            ("settings.token.hint", ""),
        )
    }


def test_limits_that_contradict_each_other_warn(small: dict[str, Any]) -> None:
    small["tools"]["start_lift"]["async"]["max_polls"] = 2
    assert warnings_of(small) == {
        "tools.start_lift.async.max_polls: 2 polls every 10 s end after 20 s, before timeout_sec (60 s)",
    }


def test_a_watch_without_a_limit_on_polls_is_allowed(small: dict[str, Any]) -> None:
    del small["tools"]["start_lift"]["async"]["max_polls"]
    assert load(small).warnings == ()


def test_all_problems_are_told_at_once_with_their_key_path_and_what_is_allowed(small: dict[str, Any]) -> None:
    small["version"] = 1.5
    small["id"] = "no spaces"
    small["tools"]["start_lift"]["async"]["interval_sec"] = 0
    small["tools"]["start_lift"]["async"]["done_match"] = {"path": "x"}
    small["tools"]["start_lift"]["async"]["on_done"] = {"mode": "chat"}
    small["tools"]["start_lift"]["async"]["on_fail"] = {"mode": "tool"}
    small["tools"]["get_lift"]["protocol"] = "carrier pigeon"
    small["tools"]["get_lift"]["parameters"] = 3
    del small["name"]
    assert set(problems_of(small)) == {
        "version: must be a string (quote it if it looks like a number or a date)",
        "id: must match ^[A-Za-z_][A-Za-z0-9_-]*$",
        "name: is required",
        "tools.start_lift.async.interval_sec: must be greater than 0",
        (
            "tools.start_lift.async.done_match: a match has exactly one of equals, in, matches, exists, gte, and never "
            "null, which is the value of a missing path; this one has none"
        ),
        "tools.start_lift.async.on_done: mode chat needs a message",
        "tools.start_lift.async.on_fail: mode tool needs the name of a tool",
        "tools.get_lift.protocol: must be 'http'",
        "tools.get_lift.parameters: must be a mapping of keys and values",
    }


def test_a_value_is_never_shown_because_it_may_be_a_secret(small: dict[str, Any]) -> None:
    small["settings"]["token"]["type"] = "s3cret"
    small["settings"]["token"]["label"] = ["s3cret"]
    assert "s3cret" not in "\n".join(problems_of(small))


def test_too_many_problems_are_counted(small: dict[str, Any]) -> None:
    small["tools"] = {f"tool{number}": {} for number in range(30)}
    problems = problems_of(small)
    assert len(problems) == loader.PROBLEMS_SHOWN + 1
    assert problems[-1] == "and 70 more; `tp-mcp connector check` shows all"


def change_poll(block: dict[str, Any]) -> None:
    block["poll"] = "get_lifts"


def change_poll_args(block: dict[str, Any]) -> None:
    block["poll_args"] = {"rid": "{result.ride}"}


def poll_itself(block: dict[str, Any]) -> None:
    block["poll"] = "start_lift"
    block["poll_args"] = {"floor": 1}


def use_the_poll_before_it_is_there(block: dict[str, Any]) -> None:
    block["poll_args"] = {"ride": "{poll.ride}"}


def misname_things(block: dict[str, Any]) -> None:
    block["poll_args"] = {"ride": "{args.flor}{settings.bas_url}"}


def break_matches(block: dict[str, Any]) -> None:
    block["done_match"] = {"path": "a..b", "equals": "{poll.x}"}
    block["fail_match"] = {"path": "a", "in": ["{args.flor}"]}


def break_operators(block: dict[str, Any]) -> None:
    block["done_match"] = {"path": "a..b", "matches": "x" * 201}
    block["fail_match"] = {"path": "sort(a)", "exists": False}


def leak_the_token(block: dict[str, Any]) -> None:
    block["on_done"] = {"mode": "chat", "message": "{settings.token}"}
    block["on_fail"] = {"mode": "tool", "tool": "start_lift", "args": {"floor": "{settings.token}"}}


def chain_into_nothing(block: dict[str, Any]) -> None:
    block["on_fail"] = {"mode": "tool", "tool": "call_help", "args": {"x": "{args.floor!r}"}}


def misname_in_progress(block: dict[str, Any]) -> None:
    block["progress"] = {"message": "{pol.x} {settings.nope}"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            change_poll,
            ["poll: there is no tool 'get_lifts' (the nearest is get_lift); the tools are get_lift, start_lift"],
        ),
        (
            change_poll_args,
            [
                "poll_args.rid: get_lift has no such parameter (the nearest is ride); it has ride",
                "poll_args: get_lift needs ride",
            ],
        ),
        (poll_itself, ["poll: start_lift is destructive; polling it would repeat the change"]),
        (
            use_the_poll_before_it_is_there,
            ["poll_args.ride: {poll.ride} has no value here: a template starts with args, result, settings"],
        ),
        (
            misname_things,
            [
                (
                    "poll_args.ride: there is no setting 'bas_url' (the nearest is base_url); the settings are "
                    "base_url, token"
                ),
                "poll_args.ride: there is no parameter 'flor' (the nearest is floor); the tool has floor",
            ],
        ),
        (
            break_matches,
            [
                (
                    "done_match.path: the path 'a..b' is invalid: use names and numbers joined by dots, such as "
                    "per_device.0.status, or a JMESPath expression"
                ),
                "done_match.equals: {poll.x} has no value here: a template starts with args, result, settings",
                "fail_match.in.0: there is no parameter 'flor' (the nearest is floor); the tool has floor",
            ],
        ),
        (
            break_operators,
            [
                (
                    "done_match.path: the path 'a..b' is invalid: use names and numbers joined by dots, such as "
                    "per_device.0.status, or a JMESPath expression"
                ),
                "done_match.matches: the pattern has 201 characters; the limit is 200",
                (
                    "fail_match.path: the path 'sort(a)' calls sort; a match may call contains, ends_with, length, "
                    "max, min, not_null, starts_with, sum, to_number, type"
                ),
            ],
        ),
        (
            leak_the_token,
            [
                "on_done.message: {settings.token} is a secret, which a message or a chained call would reveal",
                "on_fail.args.floor: {settings.token} is a secret, which a message or a chained call would reveal",
            ],
        ),
        (
            chain_into_nothing,
            [
                (
                    "on_fail.args.x: {args.floor!r} is not a template: braces may only contain names and numbers "
                    "joined by dots"
                ),
                "on_fail.tool: there is no tool 'call_help'; the tools are get_lift, start_lift",
            ],
        ),
        (
            misname_in_progress,
            [
                (
                    "progress.message: {pol.x} has no value here: a template starts with args, result, poll, settings, "
                    "poll_count, max_polls (the nearest is poll)"
                ),
                "progress.message: there is no setting 'nope'; the settings are base_url, token",
            ],
        ),
    ],
)
def test_what_the_parts_must_be_to_one_another_is_checked(
    small: dict[str, Any], change: Callable[[dict[str, Any]], None], expected: list[str]
) -> None:
    change(small["tools"]["start_lift"]["async"])
    assert set(problems_of(small)) == {f"tools.start_lift.async.{problem}" for problem in expected}


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"path": "a", "gte": "5"}, "done_match.gte: must be a number"),
        ({"path": "a", "gte": True}, "done_match.gte: must be a number"),
        ({"path": "a", "gte": float("inf")}, "done_match.gte: must be a finite number"),
        ({"path": "a", "exists": "yes"}, "done_match.exists: must be true or false"),
        ({"path": "a", "matches": 5}, "done_match.matches: must be a string (quote it if it looks like a number"),
        (
            {"path": "a", "matches": "("},
            "done_match.matches: the pattern '(' cannot be used (missing ): (): it must be a",
        ),
        ({"path": "a", "equals": 1, "in": [1], "gte": 1}, "done_match: a match has exactly one of equals, in, matches"),
    ],
)
def test_the_value_of_an_operator_is_checked(small: dict[str, Any], match: dict[str, Any], expected: str) -> None:
    small["tools"]["start_lift"]["async"]["done_match"] = match
    (problem,) = problems_of(small)
    assert problem.startswith(f"tools.start_lift.async.{expected}")


def test_every_operator_can_stand_in_a_manifest_and_a_pattern_is_no_template(small: dict[str, Any]) -> None:
    block = small["tools"]["start_lift"]["async"]
    for match in ({"matches": "^[0-9]{2}$"}, {"matches": "{args.nope}"}, {"exists": False}, {"gte": 3}, {"in": [1]}):
        block["done_match"] = {"path": "x", **match}
        assert load(small).warnings == ()


def test_the_templates_of_requests_are_checked(small: dict[str, Any]) -> None:
    small["tools"]["get_lift"]["request"]["url"] = "{result.x}"
    small["tools"]["get_lift"]["request"]["headers"] = {"X": "{args.nope}"}
    small["test"] = {"request": {"method": "GET", "url": "{args.ride}{settings.nope}"}}
    assert problems_of(small) == [
        "test.request.url: {args.ride} has no value here: a template starts with settings",
        "test.request.url: there is no setting 'nope'; the settings are base_url, token",
        "tools.get_lift.request.headers.X: there is no parameter 'nope'; the tool has ride",
        "tools.get_lift.request.url: {result.x} has no value here: a template starts with args, settings",
    ]


def test_names_are_listed_as_none_where_there_are_none(small: dict[str, Any]) -> None:
    small["settings"] = {}
    small["tools"] = {"get_lift": small["tools"]["get_lift"]}
    small["tools"]["get_lift"]["parameters"] = {}
    assert problems_of(small) == [
        "tools.get_lift.request.url: there is no setting 'base_url'; the settings are none",
        "tools.get_lift.request.url: there is no parameter 'ride'; the tool has none",
    ]


def test_poll_args_for_a_tool_without_parameters_are_told(small: dict[str, Any]) -> None:
    small["tools"]["get_lift"]["parameters"] = {}
    small["tools"]["get_lift"]["request"]["url"] = "http://lift.example/lift"
    assert problems_of(small) == ["tools.start_lift.async.poll_args.ride: get_lift has no such parameter; it has none"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1\nb: 2", "lift.yaml:2: the file is not YAML here (column 2)"),
        ("\x00", "the file is not YAML"),
        ("date: 2026-13-45", "the file is YAML with a value that cannot be read"),
        ("- just\n- a list", "lift.yaml:1: must be a mapping with id, name, version, tools etc."),
        ("", "must be a mapping"),
        ("!!python/object/apply:os.system ['true']", "lift.yaml:1: the file is not YAML here (column 1)"),
    ],
)
def test_a_file_that_is_no_manifest_at_all_is_told(text: str, expected: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(text, source="lift.yaml")
    assert expected in caught.value.message


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"missing\.yaml cannot be read: No such file") as caught:
        load_manifest(tmp_path / "missing.yaml")
    assert caught.value.remedy == "Check the path and its permissions."


def test_a_file_that_is_too_large_or_not_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * (MANIFEST_MAX_BYTES + 1))
    with pytest.raises(ManifestError, match="1,000,001 bytes; the limit is 1,000,000"):
        load_manifest(path)
    path.write_bytes(b"id: \xff")
    with pytest.raises(ManifestError, match="must be UTF-8, and byte 4 is not"):
        load_manifest(path)


def test_the_first_file_that_exists_is_the_builtin_one(small: dict[str, Any], tmp_path: Path) -> None:
    shipped, source = tmp_path / "shipped.yaml", tmp_path / "source.yaml"
    source.write_text(yaml.safe_dump(small), encoding="utf-8")
    assert first_manifest((shipped, source)).manifest.id == "lift"
    shipped.write_text(yaml.safe_dump({**small, "id": "shipped"}), encoding="utf-8")
    assert first_manifest((shipped, source)).manifest.id == "shipped"


def test_a_missing_builtin_manifest_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="missing") as caught:
        first_manifest((tmp_path / "a.yaml", tmp_path / "b.yaml"))
    assert str(tmp_path / "a.yaml") in caught.value.message
    assert str(tmp_path / "b.yaml") in caught.value.message


def test_the_builtin_manifest_is_the_one_of_the_repository() -> None:
    expected = Path(__file__).parents[2] / "connectors" / "tp.yaml"
    assert load_builtin_manifest() == load_manifest(expected)
