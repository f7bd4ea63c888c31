from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tp_mcp.connectors.manifest import Match
from tp_mcp.connectors.match import (
    OPERATORS,
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
    assert "is invalid" in problem
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
    assert path_problem("a" * (PATH_MAX_CHARACTERS + 1)) == "the path has 301 characters; the limit is 300"


def test_every_operator_of_a_match_is_evaluated() -> None:
    assert set(OPERATORS) == set(Match.operators())


@pytest.mark.parametrize(
    ("pattern", "found", "expected"),
    [
        ("build 69[0-9]+", "now on build 6957.", True),
        ("^build", "now on build", False),
        ("(?i)DONE$", "all done", True),
        ("6957", 6957, False),
        ("true", True, False),
        ("x", ["x"], False),
        (".*", None, False),
    ],
)
def test_matches_finds_its_pattern_in_texts_alone(pattern: str, found: Any, expected: bool) -> None:
    match = Match(path="x", matches=pattern)
    check_match(match)
    assert matches(match, {"x": found}) is expected
    assert not matches(match, {})


@pytest.mark.parametrize("found", [0, False, "", [], {}, "x", [None]])
def test_exists_means_anything_that_is_not_null(found: Any) -> None:
    assert matches(Match(path="x", exists=True), {"x": found})
    assert not matches(Match(path="x", exists=False), {"x": found})


@pytest.mark.parametrize("document", [{}, {"x": None}, {"y": 1}, None, [], "x"])
def test_exists_false_means_missing_or_null(document: Any) -> None:
    assert matches(Match(path="x", exists=False), document)
    assert not matches(Match(path="x", exists=True), document)


def test_the_first_element_of_what_a_filter_finds_exists_only_where_it_found_one() -> None:
    path = "per_device[?status=='PROGRESS'].ip"
    assert matches(Match(path=path, exists=True), UPGRADE)
    assert matches(Match(path=f"{path} | [0]", exists=False), UPGRADE)


@pytest.mark.parametrize("exists", [True, False])
def test_an_expression_that_cannot_work_on_the_document_tells_nothing_about_existence(exists: bool) -> None:
    assert not matches(Match(path="length(missing)", exists=exists), UPGRADE)


@pytest.mark.parametrize(
    ("found", "least", "expected"),
    [
        (40, 40, True),
        (41, 40, True),
        (39, 40, False),
        (0.5, 0.5, True),
        (10**400, 1, True),
        (-1, 0, False),
        ("41", 40, False),
        (True, 1, False),
        (None, 0, False),
        ([41], 40, False),
        (float("nan"), 0, False),
    ],
)
def test_gte_compares_numbers_alone(found: Any, least: float, expected: bool) -> None:
    assert matches(Match(path="x", gte=least), {"x": found}) is expected


def test_all_problems_of_a_match_are_told_at_once() -> None:
    with pytest.raises(WatchSpecError, match=r"the path 'a\.\.b' is invalid.*; the pattern 'a\(' cannot be used"):
        check_match(Match(path="a..b", matches="a("))


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_a_number_that_json_has_not_is_refused(number: float) -> None:
    for match in ({"equals": number}, {"in": [number]}, {"gte": number}):
        with pytest.raises(ValidationError):
            Match.model_validate({"path": "x", **match})
    with pytest.raises(WatchSpecError, match="infinite"):
        resolve_match(Match(path="x", equals="{result.x}"), {"result": {"x": number}})


@pytest.mark.parametrize(
    "match",
    [
        *({"equals": "Done"}, {"equals": 3}, {"in": [1, "a", False]}, {"matches": "a+"}),
        *({"exists": False}, {"exists": True}, {"gte": 0}),
    ],
)
def test_a_match_that_was_written_down_is_read_again_as_it_was(match: dict[str, Any]) -> None:
    made = Match.model_validate({"path": "x", **match})
    assert Match.model_validate_json(made.model_dump_json(by_alias=True)) == made


def test_a_match_that_cannot_be_used_is_a_watch_spec_error_with_an_example() -> None:
    with pytest.raises(WatchSpecError, match=r"The match cannot be used: the path 'a\.\.b' is invalid") as caught:
        check_match(Match(path="a..b", equals=1))
    assert "path: status, equals: Done" in caught.value.remedy
    check_match(Match(path="status", equals="Done"))


@pytest.mark.parametrize(
    "match",
    [
        *({"path": "x"}, {"path": "x", "equals": None}, {"path": "x", "equals": 1, "in": [1]}, {"path": "x", "in": []}),
        *({"path": "x", "exists": True, "gte": 1}, {"path": "x", "matches": ""}, {"path": "x", "exists": 1}),
    ],
)
def test_a_match_has_exactly_one_operator(match: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Match.model_validate(match)


def test_templates_in_the_values_of_a_match_are_filled_with_their_type() -> None:
    roots = {"result": {"build": 6957, "names": ["a"]}}
    assert resolve_match(Match(path="x", equals="{result.build}"), roots) == Match(path="x", equals=6957)
    assert resolve_match(Match(path="x", in_=("b{result.build}", True)), roots) == Match(path="x", in_=("b6957", True))
    with pytest.raises(WatchSpecError, match="null, infinite, a list or an object"):
        resolve_match(Match(path="x", equals="{result.names}"), roots)


def test_a_pattern_and_what_exists_hold_no_templates() -> None:
    for match in (Match(path="x", matches="{result.build}"), Match(path="x", exists=True), Match(path="x", gte=1)):
        assert resolve_match(match, {"result": {"build": 1}}) == match


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
