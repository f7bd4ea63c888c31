import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import examples
from tp_mcp.connectors.pattern import PATTERN_MAX_CHARACTERS, SEARCHED_MAX_CHARACTERS, finder, is_found, pattern_problem

BOUND_SECONDS = 2.0
"""Far above what a search takes on a busy machine, and far below what a catastrophic one would."""

CATASTROPHIC = ["(a+)+$", "(a|a)*$", "(a|aa)+$", "((a*)*)*$", "(.*)*x", "(x+x+)+y", "(?:a?){60}a{60}$"]


@pytest.mark.parametrize("pattern", CATASTROPHIC)
def test_a_catastrophic_pattern_on_a_long_text_ends_in_bounded_time(pattern: str) -> None:
    assert pattern_problem(pattern) is None
    begin = time.process_time()
    for text in ("a" * 1_000_000 + "!", "a" * SEARCHED_MAX_CHARACTERS + "!", "a" * 40 + "!"):
        is_found(pattern, text)
    assert time.process_time() - begin < BOUND_SECONDS


def test_a_catastrophic_pattern_still_gives_the_right_answer() -> None:
    assert is_found("(a+)+$", "a" * 100_000)
    assert not is_found("(a+)+$", "a" * 100_000 + "!")


@pytest.mark.parametrize("pattern", [".{1000}" * 20, "(?:(?:.{99}){99}){99}", "(a|b){999}(a|b){999}", r"(\pL{50}){50}"])
def test_a_pattern_that_would_take_much_memory_is_refused_at_once(pattern: str) -> None:
    begin = time.process_time()
    problem = pattern_problem(pattern)
    assert time.process_time() - begin < BOUND_SECONDS
    assert problem is not None
    assert "with small repetitions" in problem


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(a", "missing ): (a"),
        ("[a", "missing ]: [a"),
        ("*", "no argument for repetition operator: *"),
        ("(?=a)", "invalid perl operator: (?="),
        (r"(a)\1", r"invalid escape sequence: \1"),
        ("a{1001}", "invalid repetition size: {1001}"),
        ("\ud800", "it contains half a character"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_told_with_the_reason(
    pattern: str, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    problem = pattern_problem(pattern)
    assert problem == (
        f"the pattern {pattern!r} cannot be used ({reason}): it must be a regular expression in RE2's syntax, without "
        "look-around and back-references, and with small repetitions"
    )
    assert capfd.readouterr() == ("", "")


def test_a_pattern_that_is_too_long_is_refused() -> None:
    assert pattern_problem("a" * PATTERN_MAX_CHARACTERS) is None
    assert pattern_problem("a" * (PATTERN_MAX_CHARACTERS + 1)) == "the pattern has 201 characters; the limit is 200"


@pytest.mark.parametrize(
    "pattern",
    [
        r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}",
        r"^\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}$",
        "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        r"(?i)\b(error|failure|timeout)\b",
        r"(?s)begin.{0,100}end",
        r"\p{L}+",
    ],
)
def test_usual_patterns_are_accepted(pattern: str) -> None:
    assert pattern_problem(pattern) is None


def test_of_a_long_text_the_end_is_searched() -> None:
    text = "begin" + "." * SEARCHED_MAX_CHARACTERS + "end"
    assert is_found("end$", text)
    assert not is_found("begin", text)
    limit = "begin" + "." * (SEARCHED_MAX_CHARACTERS - 5)
    assert is_found("^begin", limit)
    assert not is_found("begin", limit + ".")
    assert is_found("egin", limit + ".")


@pytest.mark.parametrize("pattern", ["^b", r"\Ab", "(?:^b|x)", r"\bb"])
def test_where_the_searched_part_begins_is_not_the_beginning_of_the_text(pattern: str) -> None:
    rest = "b" + "." * (SEARCHED_MAX_CHARACTERS - 1)
    assert is_found(pattern, rest)
    assert not is_found(pattern, "a" + rest)
    assert not is_found(pattern, "aa" + rest)


def test_a_line_that_begins_where_the_searched_part_does_is_seen_to_begin() -> None:
    assert is_found("(?m)^b", "\nb" + "." * (SEARCHED_MAX_CHARACTERS - 1))


def test_characters_beyond_ascii_and_halves_of_them_are_searched() -> None:
    assert is_found("ü.😀$", "\ud800grüß😀")
    assert is_found("^.ab$", "\udc00ab")
    assert is_found("^😀$", "😀")
    assert not is_found("^😀", "😀" * (SEARCHED_MAX_CHARACTERS + 1))


@examples(300)
@given(st.text(st.sampled_from("ab.^$()[]{}|*+?\\d129,:-x\ud800ü"), max_size=24), st.text(max_size=50))
def test_an_accepted_pattern_never_fails_on_any_text(pattern: str, text: str) -> None:
    if pattern_problem(pattern) is None:
        assert is_found(pattern, text) in {True, False}


def test_where_in_a_line_a_pattern_is_found_is_told_also_far_into_a_long_line() -> None:
    find = finder("ne+dle")
    assert find("a needle") == 2
    assert find("a thread") is None
    assert find("") is None
    for before in (0, 4_090, 50_000, 99_000):
        assert find("語" * before + "needle" + "x" * 9_000) == before
    assert find("x" * 200_000 + "needle") is None
    assert finder("x.b")("x\ud800b") == 0
