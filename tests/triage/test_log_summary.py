import pytest
from hypothesis import given
from hypothesis import strategies as st

from tp_mcp.triage.failing_line import failing_line
from tp_mcp.triage.log_summary import read_summary

HEADING = "=========================== short test summary info ============================"
END = "========================= 2 failed, 48 passed in 12.30s ========================="
LONG_END = "================== 1 failed, 2 passed, 1 rerun in 4512.30s (1:15:12) =================="


def rows(log: str) -> list[tuple[str, str, str]]:
    return [(test.outcome, test.phase, test.test_id) for test in read_summary(log).tests]


def test_the_failed_and_the_errors_are_read_with_their_messages() -> None:
    named = "FAILED a.py::C::t[x] - AssertionError: no 448E\nERROR b.py::t - OSError\nERROR c.py"
    log = f"E   x\n{HEADING}\n{named}\n{END}\n"
    summary = read_summary(log)
    assert summary.complete
    assert rows(log) == [
        ("failed", "call", "a.py::C::t[x]"),
        ("error", "setup", "b.py::t"),
        ("error", "collect", "c.py"),
    ]
    lines = [failing_line(test) for test in summary.tests]
    assert [line.message if line else "" for line in lines] == ["AssertionError: no 448E", "OSError", ""]


def test_what_is_listed_with_options_of_its_own_is_read_too() -> None:
    log = f"{HEADING}\nPASSED a\nXFAIL b - known\nXPASS c\nRERUN d\nSKIPPED [2] e.py:3: later\n{LONG_END}"
    assert [outcome for outcome, _, _ in rows(log)] == ["passed", "xfailed", "xpassed", "rerun"]
    assert read_summary(log).complete


@pytest.mark.parametrize(
    ("line", "test_id"),
    [
        ("FAILED a.py::t[x - y] - assert 0", "a.py::t[x - y]"),
        ("FAILED a.py::t[x - y]", "a.py::t[x - y]"),
        ("FAILED a.py::t[a] b] - c[d] - e", "a.py::t[a] b]"),
        ("FAILED a.py::t - assert [1] - [2]", "a.py::t"),
        ("\x1b[31mFAILED\x1b[0m a.py::\x1b[1mt\x1b[0m - x", "a.py::t"),
    ],
)
def test_the_id_ends_where_its_parameters_do(line: str, test_id: str) -> None:
    assert rows(f"{HEADING}\n{line}\n{END}") == [("failed", "call", test_id)]


def test_of_a_summary_whose_beginning_is_cut_off_the_rest_is_read() -> None:
    log = f"FAILED faked.py::t\noutput\n - cut line\nFAILED a.py::t - x\nERROR b.py::t\n\n{END}"
    summary = read_summary(log)
    assert not summary.complete
    assert rows(log) == [("failed", "call", "a.py::t"), ("error", "setup", "b.py::t")]


def test_of_a_summary_that_is_still_being_written_the_beginning_is_read() -> None:
    log = f"{HEADING}\nFAILED a.py::t - x\n"
    assert not read_summary(log).complete
    assert len(rows(log)) == 1


@pytest.mark.parametrize("log", ["", "FAILED faked.py::t", "no summary\nFAILED faked.py::t - x\n", END, f"x\n\n{END}"])
def test_without_a_summary_there_is_nothing(log: str) -> None:
    assert rows(log) == []


def test_the_last_summary_counts() -> None:
    # The dry run before the real one may have one too.
    log = f"{HEADING}\nERROR old.py\n{END}\nmore\n{HEADING}\nFAILED a.py::t\n{END}"
    assert rows(log) == [("failed", "call", "a.py::t")]


PARTS = st.sampled_from([HEADING, END, "FAILED a.py::t[x - y] - z", "ERROR b", "RERUN", "FAILED ", "", "text\r"])


@given(st.lists(PARTS | st.text(max_size=20), max_size=8).map("\n".join))
def test_any_log_is_read(log: str) -> None:
    assert all(test.test_id for test in read_summary(log).tests)


@pytest.mark.parametrize("heading", [f"{HEADING}\n", "FAILED z.py::t\n"])
def test_what_is_missing_within_a_summary_makes_it_incomplete_and_hides_nothing_around_it(heading: str) -> None:
    gap = "[... 9,904 bytes of the log are missing here: TP shows no more than its end ...]"
    log = f"{heading}FAILED a.py::t\n{gap}\nFAILED b.py::t\n{END}\n"
    assert [name for _, _, name in rows(log)][-2:] == ["a.py::t", "b.py::t"]
    assert not read_summary(log).complete
