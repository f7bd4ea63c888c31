from hypothesis import given
from hypothesis import strategies as st

from tp_mcp.results.log_excerpt import LINE_MAX_CHARACTERS, cut_log
from tp_mcp.results.text import Size, cut_mark, size_of

PYTEST_LOG = "\n".join(
    [
        "============================= test session starts ==============================",
        *(f"Tests_CLI/test_{number}.py::test_show PASSED" for number in range(200)),
        "    def test_radius():",
        ">       assert device.run('diag radius') == 'ok'",
        "E       AssertionError: assert 'timeout' == 'ok'",
        "Tests_CLI/test_radius.py:41: AssertionError",
        *(f"DEBUG ssh: keepalive {number}" for number in range(400)),
        "=========================== short test summary info ============================",
        "FAILED Tests_CLI/test_radius.py::test_radius - AssertionError",
        "======================== 1 failed, 200 passed in 12.31s ========================",
    ]
)


def test_a_log_that_fits_is_left_alone() -> None:
    assert cut_log("boot\nok", Size(7, 7)) == "boot\nok"


def test_the_lines_that_matter_survive_beside_head_and_tail() -> None:
    cut = cut_log(PYTEST_LOG, Size(2_000, 2_000))
    lines = cut.split("\n")
    assert len(cut) <= 2_000
    assert lines[0].startswith("=====")
    assert lines[-1].startswith("======================== 1 failed, 200 passed")
    assert ">       assert device.run('diag radius') == 'ok'" in lines
    assert "E       AssertionError: assert 'timeout' == 'ok'" in lines
    assert "Tests_CLI/test_radius.py:41: AssertionError" in lines
    assert "FAILED Tests_CLI/test_radius.py::test_radius - AssertionError" in lines


def test_the_marks_count_exactly_what_is_missing() -> None:
    cut = cut_log(PYTEST_LOG, Size(2_000, 2_000))
    marks = [line for line in cut.split("\n") if line.startswith("[... ")]
    left_out = sum(int(mark.split()[1].replace(",", "")) for mark in marks)
    shown = sum(len(line) + 1 for line in cut.split("\n") if line not in marks)
    assert marks
    assert left_out + shown == len(PYTEST_LOG) + 1


def test_a_single_long_line_is_shortened_in_its_middle() -> None:
    text = "first\n" + "x" * 50_000 + "\nlast"
    cut = cut_log(text, Size(3_000, 3_000))
    first, long, last = cut.split("\n")
    assert (first, last) == ("first", "last")
    assert len(long) > LINE_MAX_CHARACTERS
    assert "characters left out" in long


def test_the_last_line_always_stays() -> None:
    text = "\n".join(["FAILED a", *("x" * 190 for _ in range(20)), "y" * 190])
    cut = cut_log(text, Size(200, 200))
    assert cut.split("\n")[0] == "FAILED a"
    assert cut.endswith("y")


def test_of_many_lines_none_is_longer_than_the_limit() -> None:
    cut = cut_log("\n".join(["x" * 50_000] * 100), Size(3_000, 3_000))
    assert max(map(len, cut.split("\n"))) <= LINE_MAX_CHARACTERS


def test_without_room_for_lines_the_middle_goes() -> None:
    cut = cut_log("a\n" * 500, Size(100, 100))
    assert len(cut) <= 100
    assert "characters left out" in cut


def test_neighbouring_lines_that_matter_need_no_mark_between_them() -> None:
    text = "\n".join(["quiet"] * 200 + [f"E   line {number}" for number in range(30)] + ["quiet"] * 200)
    cut = cut_log(text, Size(1_000, 1_000))
    assert cut.count("E   line") == 30
    assert cut.count("left out") == 2


LINES = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n")) | st.just("E   boom"), max_size=40)


@given(LINES, st.integers(1, 30), st.integers(0, 900), st.integers(0, 900))
def test_a_cut_log_keeps_both_limits(lines: list[str], times: int, characters: int, octets: int) -> None:
    text = "\n".join(lines * times)
    limit = Size(characters, octets)
    cut = cut_log(text, limit)
    assert limit.holds(size_of(cut))
    assert cut == text or "..." in cut or min(limit) < 3


def test_a_mark_counts_with_thousands() -> None:
    assert cut_mark(12345) == "[... 12,345 characters left out ...]"
