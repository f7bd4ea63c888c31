import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tp_mcp.results.text import Size
from tp_mcp.results.text_pages import LINE_MAX_CHARACTERS, Find, head, page, search, tail

LOG = "\n".join(f"line {number}" for number in range(1, 101)) + "\n"
ROOM = Size(200, 400)
TEXTS = st.lists(st.text(st.sampled_from("ab 語\U0001f642"), max_size=80), max_size=40).map("\n".join)


def at(pattern: str) -> Find:
    compiled = re.compile(pattern)

    def find(line: str) -> int | None:
        found = compiled.search(line)
        return None if found is None else found.start()

    return find


@given(TEXTS, st.integers(4, 300), st.integers(16, 300))
def test_pages_that_follow_one_another_make_up_the_text(text: str, characters: int, octets: int) -> None:
    room = Size(characters, octets)
    begin, parts, line = 0, [], 1
    while begin < len(text):
        shown = page(text, begin, room)
        assert shown.text == text[shown.begin : shown.end]
        assert shown.begin == begin < shown.end
        assert len(shown.text) <= characters
        assert len(shown.text.encode()) <= octets
        assert shown.first_line == line
        line = shown.last_line + shown.text.endswith("\n")
        assert shown.lines == len(text.removesuffix("\n").split("\n"))
        parts.append(shown.text)
        begin = shown.end
    assert "".join(parts) == text


def test_a_page_ends_with_a_line() -> None:
    shown = page(LOG, 0, ROOM)
    assert shown.text.endswith("line 26\n")
    assert (shown.first_line, shown.last_line, shown.lines) == (1, 26, 100)
    assert page(LOG, shown.end, ROOM).text.startswith("line 27\n")


def test_of_a_line_that_is_longer_than_a_page_a_part_is_shown() -> None:
    shown = page("x" * 500 + "\nlast", 0, ROOM)
    assert (shown.text, shown.first_line, shown.last_line, shown.lines) == ("x" * 200, 1, 1, 2)


@pytest.mark.parametrize(("lines", "last"), [(1, 1), (3, 3), (100, 26), (5_000, 26)])
def test_the_head_is_the_first_lines_as_far_as_they_fit(lines: int, last: int) -> None:
    shown = head(LOG, lines, ROOM)
    assert shown.text == "".join(f"line {number}\n" for number in range(1, last + 1))


def test_the_head_of_a_short_text_is_all_of_it() -> None:
    assert head("a\nb", 5, ROOM).text == "a\nb"


@pytest.mark.parametrize("text", [LOG, LOG.removesuffix("\n")])
@pytest.mark.parametrize(("lines", "first"), [(1, 100), (3, 98), (100, 77), (5_000, 77)])
def test_the_tail_is_the_last_lines_as_far_as_they_fit(text: str, lines: int, first: int) -> None:
    shown = tail(text, lines, ROOM)
    assert shown.text.rstrip("\n").split("\n") == [f"line {number}" for number in range(first, 101)]
    assert shown.end == len(text)
    assert (shown.first_line, shown.last_line) == (first, 100)


def test_the_tail_of_a_short_text_is_all_of_it_and_of_a_long_line_its_end() -> None:
    assert tail("a\nb", 5, ROOM).text == "a\nb"
    assert tail("", 5, ROOM).text == ""
    assert tail("first\n" + "x" * 500, 1, ROOM).text == "x" * 200


def test_a_search_shows_the_lines_with_their_numbers_and_those_around_them() -> None:
    found = search(LOG, 0, at("line (30|32|50)$"), Size(500, 500), context=1)
    assert found.text.split("\n") == [
        "29- line 29",
        "30: line 30",
        "31- line 31",
        "32: line 32",
        "33- line 33",
        "--",
        "49- line 49",
        "50: line 50",
        "51- line 51",
    ]
    assert (found.count, found.end, found.searched, found.first_line) == (3, None, 100, 1)


def test_a_search_that_finds_nothing_says_how_much_it_searched() -> None:
    assert search(LOG, 0, at("nowhere"), ROOM, context=2).count == 0
    found = search(LOG, LOG.index("line 91"), at("line 9"), ROOM, context=0)
    assert (found.count, found.first_line, found.searched) == (9, 91, 10)


@given(TEXTS, st.integers(0, 3), st.integers(16, 200))
def test_a_search_that_goes_on_finds_each_line_once(text: str, context: int, characters: int) -> None:
    lines, begin, count, numbers = text.split("\n"), 0, 0, []
    for _ in range(len(lines) + 1):
        found = search(text, begin, at("[ab]"), Size(characters, 1_000), context=context)
        assert len(found.text) <= characters
        count += found.count
        numbers += [int(number) for number in re.findall(r"^(\d+): ", found.text, re.MULTILINE)]
        if found.end is None:
            break
        assert found.end > begin
        begin = found.end
    matching = [number for number, line in enumerate(lines, 1) if re.search("[ab]", line)]
    assert count == len(matching)
    assert set(numbers) <= set(matching)


def test_of_a_long_line_what_is_around_the_match_is_shown() -> None:
    line = "x" * 5_000 + "needle" + "y" * 5_000
    found = search(f"{line}\nnext", 0, at("needle"), Size(2_000, 2_000), context=1)
    first, second = found.text.split("\n")
    assert "needle" in first
    assert first.startswith("1: [... 4,800 characters ...]xxx")
    assert first.endswith("yyy[... 4,806 characters ...]")
    assert len(first) < LINE_MAX_CHARACTERS + 80
    assert second == "2- next"
    at_the_end = search("x" * 5_000 + "needle", 0, at("needle"), Size(2_000, 2_000), context=0)
    assert at_the_end.text.endswith("xneedle")


def test_a_search_ends_when_its_time_is_up_and_says_where_to_go_on() -> None:
    times = iter([True, True, False])
    found = search(LOG, 0, at("line"), Size(500, 500), context=0, goes_on=lambda: next(times))
    assert found.text.split("\n") == ["1: line 1", "2: line 2", "3: line 3"]
    assert found.end == LOG.index("line 4")
    at_its_end = search("only", 0, at("only"), ROOM, context=0, goes_on=lambda: False)
    assert (at_its_end.text, at_its_end.end) == ("1: only", None)
