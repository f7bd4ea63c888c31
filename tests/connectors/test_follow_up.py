from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tp_mcp.connectors.follow_up import (
    ARGUMENTS_MAX_CHARACTERS,
    CHAIN_ROOTS,
    follow_up_problems,
    render_follow_up_args,
    tool_problem,
)
from tp_mcp.connectors.manifest import FollowUp
from tp_mcp.errors import WatchSpecError

TOOLS = ("run_pytest", "start_upgrade")
RUN: dict[str, Any] = {
    "mode": "tool",
    "tool": "run_pytest",
    "args": {"lab": "{args.testbed}", "testcase": ["Tests_CLI", "on/{poll.per_device.0.ip}"], "argument": "-x"},
}


def problems(document: dict[str, Any], **known: Any) -> list[str]:
    return list(follow_up_problems(FollowUp.model_validate(document), tools=TOOLS, known=known))


def nested(depth: int) -> object:
    value: object = "deep"
    for _ in range(depth):
        value = [value]
    return value


def test_a_message_and_a_further_call_that_can_be_made_have_no_problem() -> None:
    assert problems({"mode": "chat", "message": "on {poll.status} for {args.testbed} {result.tasks.0.ip}"}) == []
    assert problems(RUN) == []
    assert problems(RUN, args={"testbed": "AT16"}) == []


def test_everything_that_is_wrong_is_told_at_once_by_its_key() -> None:
    assert problems(
        {
            "mode": "tool",
            "tool": "run_pytests",
            "message": "by {settings.username}",
            "args": {"lab": "{arg.testbed}", "testcase": ["{poll.x!r}"], "argument": "{poll_count}"},
            "arguments": {},
        }
    ) == [
        "arguments: is unknown; the keys are mode, message, tool, args",
        "tool: there is no tool 'run_pytests' (the nearest is run_pytest); the tools are run_pytest, start_upgrade",
        "message: {settings.username} has no value here: a template starts with args, result, poll",
        "args.lab: {arg.testbed} has no value here: a template starts with args, result, poll (the nearest is args)",
        ("args.testcase: {poll.x!r} is not a template: braces may only contain names and numbers joined by dots"),
        "args.argument: {poll_count} has no value here: a template starts with args, result, poll",
    ]


def test_a_call_that_mode_chat_would_leave_out_is_told() -> None:
    assert problems({**RUN, "mode": "chat", "message": "done"}) == [
        "tool: mode chat calls no tool; omit it, or use mode tool",
        "args: mode chat calls no tool; omit it, or use mode tool",
    ]


def test_a_tool_that_resembles_none_is_told_with_all_there_are() -> None:
    assert tool_problem("x", TOOLS) == "there is no tool 'x'; the tools are run_pytest, start_upgrade"
    assert tool_problem("x", ()) == "there is no tool 'x'; the tools are none"
    assert tool_problem("run_pytest", TOOLS) is None


def test_what_is_known_to_have_no_value_is_told_before_anything_starts() -> None:
    document = {
        "mode": "tool",
        "tool": "run_pytest",
        "args": {"lab": "{args.lab}", "argument": "-k {args.filter}", "x": "{args.filter}", "testcase": "{result.ids}"},
    }
    assert problems(document, args={"testbed": "AT16", "filter": None}) == [
        "args.lab: The template {args.lab} has no value. Available: args; check the path below it.",
        (
            "args.argument: {args.filter} is null and cannot be part of a text. Give it a value, or use the template "
            "as the whole text."
        ),
    ]
    assert problems(document) == []


def test_a_root_that_may_not_be_used_is_told_once_even_where_its_value_is_known() -> None:
    assert problems({"mode": "chat", "message": "{settings.token}"}, settings={}) == [
        "message: {settings.token} has no value here: a template starts with args, result, poll"
    ]


def test_the_roots_are_the_caller_s_choice() -> None:
    follow_up = FollowUp(mode="chat", message="poll {poll_count}")
    assert follow_up_problems(follow_up, tools=TOOLS, roots={*CHAIN_ROOTS, "poll_count"}) == ()


def test_arguments_that_are_too_long_are_told() -> None:
    long = FollowUp(mode="tool", tool="run_pytest", args={"x": "x" * ARGUMENTS_MAX_CHARACTERS})
    assert follow_up_problems(long, tools=TOOLS) == ("args: more than 65,536 characters as JSON",)


def test_the_arguments_of_the_call_keep_their_types() -> None:
    follow_up = FollowUp(
        mode="tool", tool="t", args={"id": "{result.exec_id}", "all": "{poll}", "text": "n {result.exec_id}", "n": 3}
    )
    roots = {"result": {"exec_id": 446}, "poll": {"ok": True, "x": None}}
    assert render_follow_up_args(follow_up, roots) == {
        "id": 446,
        "all": {"ok": True, "x": None},
        "text": "n 446",
        "n": 3,
    }


def test_what_comes_from_outside_is_never_read_as_a_template() -> None:
    follow_up = FollowUp(mode="tool", tool="t", args={"x": "{poll.log}"})
    assert render_follow_up_args(follow_up, {"poll": {"log": "{args.secret}"}, "args": {"secret": "s"}}) == {
        "x": "{args.secret}"
    }


def test_all_arguments_that_cannot_be_filled_are_told_at_once() -> None:
    follow_up = FollowUp(mode="tool", tool="run_pytest", args={"lab": "{args.lab}", "n": 1, "x": "a {poll.x}"})
    with pytest.raises(WatchSpecError) as caught:
        render_follow_up_args(follow_up, {"args": {}, "poll": {"x": None}})
    assert caught.value.message == (
        "run_pytest was not called: its arguments cannot be filled. args.lab: The template {args.lab} "
        "has no value. "
        "Available: args, poll; check the path below it. args.x: {poll.x} is null and cannot be part of a text. "
        "Give it a value, or use the template as the whole text."
    )
    assert caught.value.remedy == "Call run_pytest yourself."


@pytest.mark.parametrize("value", [{"log": "x" * 1000}, nested(5000)])
def test_arguments_that_grow_too_large_are_refused_and_not_cut(value: object) -> None:
    follow_up = FollowUp(mode="tool", tool="run_pytest", args={"x": ["{poll}"] * 2000})
    with pytest.raises(WatchSpecError, match="exceed 65,536 characters"):
        render_follow_up_args(follow_up, {"poll": value})


@given(st.dictionaries(st.sampled_from("abc"), st.text() | st.sampled_from(["{args.a}", "{poll.b.0}", "-{result}"])))
def test_what_has_no_problem_with_all_values_known_can_be_filled(args: dict[str, str]) -> None:
    follow_up = FollowUp.model_validate({"mode": "tool", "tool": "run_pytest", "args": args})
    roots = {"args": {"a": 1}, "poll": {"b": [None]}, "result": {}}
    if not follow_up_problems(follow_up, tools=TOOLS, known=roots):
        assert set(render_follow_up_args(follow_up, roots)) == set(args)
