"""The rule of a watch whose caller said what the end looks like."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import JsonValue

from tp_mcp.jobs.match_rule import MatchRule
from tp_mcp.watch.model.reading import Verdict
from tp_mcp.watch.model.spec import WatchSpec
from tp_mcp.watch.model.watch import Watch

DONE = {"path": "status", "equals": "Done"}
BROKEN = {"path": "status", "in": ["Failed", "Cancelled"]}


@pytest.mark.parametrize(
    ("matches", "answer", "verdict"),
    [
        ({"done_match": DONE}, {"status": "Done"}, Verdict.DONE),
        ({"done_match": DONE}, {"status": "Running"}, Verdict.UNDERWAY),
        ({"done_match": DONE}, {}, Verdict.UNDERWAY),
        ({"done_match": DONE}, ["Done"], Verdict.UNDERWAY),
        ({"done_match": DONE, "fail_match": BROKEN}, {"status": "Cancelled"}, Verdict.FAILED),
        ({"done_match": DONE, "fail_match": BROKEN}, {"status": "Done"}, Verdict.DONE),
        ({"done_match": DONE, "fail_match": DONE}, {"status": "Done"}, Verdict.FAILED),
        ({"done_match": {"path": "[?name=='AT16'].status | [0]", "equals": "Available"}}, [], Verdict.UNDERWAY),
        (
            {"done_match": {"path": "[?name=='AT16'].status | [0]", "equals": "Available"}},
            [{"name": "AT15", "status": "Running"}, {"name": "AT16", "status": "Available"}],
            Verdict.DONE,
        ),
        ({}, {"status": "Done"}, Verdict.UNDERWAY),
    ],
)
def test_the_failing_match_is_looked_at_first(
    make_watch: Callable[..., Watch],
    match_spec: Callable[..., WatchSpec],
    matches: dict[str, Any],
    answer: JsonValue,
    verdict: Verdict,
) -> None:
    watch = replace(make_watch(), spec=match_spec(**matches))
    interpretation = MatchRule().interpret(watch, answer)
    assert interpretation.reading.verdict is verdict
    assert interpretation.reading.outcome is None


def test_a_change_anywhere_in_a_long_answer_is_a_sign_of_life(make_watch: Callable[..., Watch]) -> None:
    def sign(answer: JsonValue) -> str:
        return MatchRule().interpret(make_watch(), answer).reading.sign_of_life

    before: dict[str, JsonValue] = {"a": 1, "log_tail": "x" * 4096}
    assert sign(before) == sign(dict(reversed(before.items())))
    assert sign(before) != sign({**before, "a": 2})
    assert sign(before) != sign({**before, "log_tail": "x" * 4095 + "y"})
    assert len(sign(before)) <= 32
