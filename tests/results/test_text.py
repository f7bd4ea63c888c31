import pytest
from hypothesis import given
from hypothesis import strategies as st

from tp_mcp.results.text import (
    NEAREST_MAX_CANDIDATES,
    Size,
    count_of,
    cut_mark,
    echoed,
    format_duration,
    nearest,
    shorten,
    shorten_middle,
    size_of,
)

LABS = ["AT16_Combined_FSW", "AT17_Combined_FSW", "BT01_Radius", "AT1"]


def test_what_a_caller_gave_is_repeated_without_a_password_wherever_it_is_cut() -> None:
    line = "execute restore image scp /builds/fsw/6957/image.out 10.1.1.1 builder Hunter2Secret"
    for room in (20, 40, 80, 200):
        assert "Secret" not in echoed(line, room)
    assert echoed("radius", 80) == "radius"


def test_a_text_that_fits_is_left_alone() -> None:
    assert shorten_middle("grün", Size(4, 5)) == "grün"


def test_a_long_text_loses_its_middle_and_says_how_much() -> None:
    text = "a" * 500 + "b" * 500
    short = shorten_middle(text, Size(100, 100))
    head, tail = short.split("[... ")[0], short.split(" ...]")[1]
    assert len(short) <= 100
    assert set(head) == {"a"}
    assert set(tail) == {"b"}
    assert cut_mark(1000 - len(head) - len(tail)) in short


def test_of_two_sizes_the_smaller_measures_hold() -> None:
    assert Size(10, 40).within(Size(20, 30)) == Size(10, 30)


def test_bytes_are_counted_as_well_as_characters() -> None:
    text = "語" * 1000
    short = shorten_middle(text, Size(1000, 200))
    assert len(short.encode()) <= 200
    assert short.startswith("語")
    assert short.endswith("語")
    assert size_of(text) == Size(1000, 3000)


@pytest.mark.parametrize(("limit", "expected"), [(0, ""), (1, "."), (3, "..."), (5, "ab...")])
def test_a_limit_too_small_for_the_mark_still_holds(limit: int, expected: str) -> None:
    assert shorten_middle("abcdefgh" * 100, Size(limit, limit)) == expected


@given(st.text(st.characters(), max_size=300), st.integers(0, 120), st.integers(0, 120))
def test_a_shortened_text_keeps_both_limits_and_is_never_silently_cut(text: str, characters: int, octets: int) -> None:
    short = shorten_middle(text, Size(characters, octets))
    assert Size(characters, octets).holds(size_of(short))
    assert short == text or "." in short or min(characters, octets) == 0


@given(st.text(st.characters(codec="utf-8"), min_size=150, max_size=400), st.integers(60, 120))
def test_what_a_mark_counts_is_what_is_missing(text: str, limit: int) -> None:
    short = shorten_middle(text, Size(limit, limit))
    left_out = next(count for count in range(len(text) + 1) if cut_mark(count) in short)
    assert len(short) - len(cut_mark(left_out)) + left_out == len(text)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (0.0001, "1 ms"),
        (0.35, "350 ms"),
        (0.9999, "1 s"),
        (45.4, "45 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (3599.6, "1 h"),
        (7500, "2 h 5 min"),
        (86_400, "1 d"),
        (97_300, "1 d 3 h"),
        (float("nan"), "unknown"),
        (float("inf"), "unknown"),
    ],
)
def test_a_duration_reads_in_its_two_largest_units(seconds: float, expected: str) -> None:
    assert format_duration(seconds) == expected


def test_a_count_has_its_noun() -> None:
    assert count_of(1, "test") == "1 test"
    assert count_of(1234, "test") == "1,234 tests"
    assert count_of(0, "entry", "entries") == "0 entries"


def test_a_misspelt_name_finds_the_nearest_first() -> None:
    assert nearest("at16_Combind_FSW", LABS) == ("AT16_Combined_FSW", "AT17_Combined_FSW")
    assert nearest("radius", LABS) == ("BT01_Radius",)
    assert nearest("AT16_Combined_FSW_on_the_shelf", LABS)[0] == "AT16_Combined_FSW"
    assert nearest("zzz", LABS) == ()
    assert nearest("", LABS) == ()


def test_at_most_so_many_names_are_given_and_looked_at() -> None:
    assert len(nearest("lab", [f"lab{number}" for number in range(50)], limit=2)) == 2
    far_away = (*("nothing" for _ in range(NEAREST_MAX_CANDIDATES)), "radius")
    assert nearest("radius", far_away) == ()


def test_shorten_counts_characters_whatever_their_bytes() -> None:
    assert shorten("🙂" * 60, 60) == "🙂" * 60
    short = shorten("🙂" * 500, 60)
    assert len(short) == 60
    assert short.startswith("🙂")
    assert "characters left out" in short
