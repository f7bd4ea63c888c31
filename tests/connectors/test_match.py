from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tp_mcp.connectors.manifest import Match
from tp_mcp.connectors.match import (
    PATH_MAX_CHARACTERS,
    check_match,
    matches,
    path_problem,
    resolve_match,
    to_jmespath,
)
from tp_mcp.errors import WatchSpecError

UPGRADE = {"status": "SUCCESS", "per_device": [{"ip": "10.0.0.1", "status": "SUCCESS"}], "count": 3, "ok": True}


@pytest.mark.parametrize(
    ("path", "expression"),
    [
        ("status", "status"),
        ("per_device.0.status", "per_device[0].status"),
        ("0.ip", "[0].ip"),
        ("a.0.1.b", "a[0][1].b"),
        ("build-info.id", '"build-info".id'),
        ("a.9lives", 'a."9lives"'),
        ("per_device[?ip=='10.0.0.1'].status | [0]", "per_device[?ip=='10.0.0.1'].status | [0]"),
    ],
)
def test_a_dotted_path_becomes_jmespath(path: str, expression: str) -> None:
    assert to_jmespath(path) == expression
    assert path_problem(path) is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("status", "SUCCESS"),
        ("per_device.0.status", "SUCCESS"),
        ("per_device[0].ip", "10.0.0.1"),
        ("length(per_device)", 1),
        ("per_device[?ip=='10.0.0.1'].status | [0]", "SUCCESS"),
        ("count", 3),
        ("count", 3.0),
        ("ok", True),
    ],
)
def test_a_value_that_is_equal_matches(path: str, value: Any) -> None:
    assert matches(Match(path=path, equals=value), UPGRADE)


@pytest.mark.parametrize(
    ("found", "expected"),
    [("3", 3), (3, "3"), (True, 1), (1, True), (0, False), ("true", True), ("Done", "done"), (False, True)],
)
def test_values_of_another_json_type_or_spelling_do_not_match(found: Any, expected: Any) -> None:
    assert not matches(Match(path="x", equals=expected), {"x": found})
    assert not matches(Match(path="x", in_=(expected,)), {"x": found})


@pytest.mark.parametrize("document", [{}, {"x": None}, {"x": ["Done"]}, {"x": {"y": "Done"}}, None, [], "Done"])
def test_a_missing_path_or_a_value_that_is_no_scalar_never_matches(document: Any) -> None:
    assert not matches(Match(path="x", equals="Done"), document)


def test_in_matches_any_of_its_values() -> None:
    match = Match(path="status", in_=("Failed", "Cancelled"))
    assert matches(match, {"status": "Cancelled"})
    assert not matches(match, {"status": "Done"})


@pytest.mark.parametrize("path", ["length(missing)", "sum(status)", "per_device[?status > `1`] | [0].ip"])
def test_an_expression_that_cannot_work_on_the_document_does_not_match(path: str) -> None:
    assert path_problem(path) is None
    assert not matches(Match(path=path, equals="x"), UPGRADE)


def test_comparing_a_number_with_a_text_inside_an_expression_does_not_match() -> None:
    match = Match(path="`[1]`[?@ > 'x'] | [0]", equals=1)
    check_match(match)
    assert not matches(match, {})


@pytest.mark.parametrize("path", ["a..b", "a[", "(", "unheard_of(", "a ?", "", "1" * 200 + "["])
def test_a_path_that_cannot_be_read_is_told(path: str) -> None:
    problem = path_problem(path)
    assert problem is not None
    assert "cannot be read" in problem
    assert "per_device.0.status" in problem


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("[a, a]", "multi select list"),
        ("{a: b}", "multi select dict"),
        ("a[::0]", "slice"),
        ("a[?b == `1`] | [0] | map(&a, @)", "map"),
        ("sort(a)", "sort"),
        ("keys(@)", "keys"),
    ],
)
def test_a_path_that_could_cost_more_than_reading_the_document_is_refused(path: str, what: str) -> None:
    problem = path_problem(path)
    assert problem is not None
    assert what in problem


def test_a_path_that_is_too_long_is_refused() -> None:
    assert path_problem("a" * PATH_MAX_CHARACTERS) is None
    assert path_problem("a" * (PATH_MAX_CHARACTERS + 1)) == "the path has 301 characters, and 300 are allowed"


def test_a_match_that_cannot_be_used_is_a_watch_spec_error_with_an_example() -> None:
    with pytest.raises(WatchSpecError, match=r"The match cannot be used: the path 'a\.\.b' cannot be read") as caught:
        check_match(Match(path="a..b", equals=1))
    assert "path: status, equals: Done" in caught.value.remedy
    check_match(Match(path="status", equals="Done"))


@pytest.mark.parametrize(
    "match",
    [{"path": "x"}, {"path": "x", "equals": None}, {"path": "x", "equals": 1, "in": [1]}, {"path": "x", "in": []}],
)
def test_a_match_has_exactly_one_operator(match: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Match.model_validate(match)


def test_templates_in_the_values_of_a_match_are_filled_with_their_type() -> None:
    roots = {"result": {"build": 6957, "names": ["a"]}}
    assert resolve_match(Match(path="x", equals="{result.build}"), roots) == Match(path="x", equals=6957)
    assert resolve_match(Match(path="x", in_=("b{result.build}", True)), roots) == Match(path="x", in_=("b6957", True))
    with pytest.raises(WatchSpecError, match="null, a list or an object"):
        resolve_match(Match(path="x", equals="{result.names}"), roots)


PATHS = st.recursive(
    st.sampled_from(["a", "b", "@", "`1`", "`[1,2]`", "'x'"]),
    lambda below: st.tuples(
        st.sampled_from(
            [
                *("length({})", "max({})", "contains({},'x')", "starts_with({},'x')", "not_null({},{})", "{}[0]"),
                *("{}[*]", "{}[]", "{}[?{}]", "{}.a", "{}|{}", "!{}", "({})", "{}<{}", "{}=={}", "{}&&{}"),
                "to_number({})",
            ]
        ),
        below,
        below,
    ).map(lambda drawn: drawn[0].format(drawn[1], drawn[2])),
    max_leaves=5,
)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda below: st.lists(below) | st.dictionaries(st.sampled_from(["a", "b"]), below),
    max_leaves=8,
)


@given(PATHS, DOCUMENTS)
def test_an_accepted_match_never_fails_on_any_document(path: str, document: Any) -> None:
    if path_problem(path) is None:
        assert matches(Match(path=path, equals="no such value"), document) is False
