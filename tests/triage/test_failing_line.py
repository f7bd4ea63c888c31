from collections.abc import Callable
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tp_mcp.triage.failing_line import LINE_MAX_CHARACTERS, FailingLine, failing_line
from tp_mcp.triage.report_parser import Outcome, ReportedTest, parse_report

RealReport = Callable[..., bytes]
LineOf = Callable[[str], int]


def failed(log: str, outcome: str = "failed") -> ReportedTest:
    return ReportedTest("a.py::test", cast("Outcome", outcome), "call", 0.1, log)


def lines_of(document: bytes) -> dict[str, tuple[str, str]]:
    """Return message and location of each failing row, by the end of its id and its phase where it is not the call."""
    found = {}
    for test in parse_report(document).tests:
        line = failing_line(test)
        if line is not None:
            name = test.test_id.split("::")[-1] + ("" if test.phase == "call" else f" {test.phase}")
            found[name] = (line.message, line.location)
    return found


EXPECTED_MESSAGES = {
    "test_broken.py collect": "ModuleNotFoundError: No module named 'no_such_module'",
    "test_param[<td>x</td>]": "AssertionError: assert '<td>x</td>' != '<td>x</td>'",
    "test_deep": 'AssertionError: state & "more"',
    "test_compare": "assert [1, 2, 3] == [1, 2, 4]",
    "test_chain": "RuntimeError: outer",
    "test_setup setup": "OSError: no device",
    "test_teardown teardown": "OSError: lost device",
    "test_both": "assert 0",
    "test_both teardown": "OSError: lost device",
    "test_missing setup": "fixture 'no_such_fixture' not found",
    "test_strict": "[XPASS(strict)] must fail",
    "test_group": "ExceptionGroup: several (2 sub-exceptions)",
    "test_explicit": "explicit failure",
}
# The line of the suite that failed, and the exception.
FAILING_LINES = {
    "test_param[<td>x</td>]": ('assert cmd != "<td>x</td>"', "AssertionError"),
    "test_deep": ("assert state ==", "AssertionError"),
    "test_compare": ("assert [1, 2, 3]", "AssertionError"),
    "test_chain": ("raise RuntimeError", "RuntimeError"),
    "test_setup setup": ("no device", "OSError"),
    "test_teardown teardown": ("lost device", "OSError"),
    "test_both teardown": ("lost device", "OSError"),
    "test_long_message": ("raise ValueError", "ValueError"),
}


@pytest.mark.parametrize("style", ["long", "short", "line", "no"])
def test_the_message_is_found_in_every_style_of_traceback(real_report: RealReport, style: str) -> None:
    messages = {name: message for name, (message, _) in lines_of(real_report(f"--tb={style}")).items()}
    assert messages.pop("test_long_message").startswith("ValueError: xxx")
    assert messages == EXPECTED_MESSAGES


def test_the_location_is_the_deepest_frame_with_its_exception(real_report: RealReport, line_of: LineOf) -> None:
    lines = lines_of(real_report("--tb=long"))
    for name, (text, exception) in FAILING_LINES.items():
        assert lines[name][1] == f"test_cli.py:{line_of(text)}: {exception}"
    assert lines["test_broken.py collect"][1] == "test_broken.py:1"
    assert lines["test_missing setup"][1].endswith(f"test_cli.py:{line_of('def test_missing')}")
    assert lines["test_group"][1].endswith(f"test_cli.py:{line_of('raise ExceptionGroup')}")
    assert lines["test_strict"][1] == lines["test_explicit"][1] == ""


def test_the_location_of_a_short_traceback_has_no_exception(real_report: RealReport, line_of: LineOf) -> None:
    lines = lines_of(real_report("--tb=short"))
    for name, (text, _) in FAILING_LINES.items():
        assert lines[name][1] == f"test_cli.py:{line_of(text)}"


def test_a_native_traceback_is_read_as_python_writes_it(real_report: RealReport, line_of: LineOf) -> None:
    lines = lines_of(real_report("--tb=native"))
    for name, (text, _) in FAILING_LINES.items():
        assert lines[name][1].endswith(f"/test_cli.py:{line_of(text)}")
    assert lines["test_deep"][0] == 'AssertionError: state & "more"'
    assert lines["test_chain"][0] == "RuntimeError: outer"


def test_local_variables_do_not_pass_for_a_location(real_report: RealReport, line_of: LineOf) -> None:
    lines = lines_of(real_report("--tb=long", "--showlocals"))
    assert lines["test_deep"][1] == f"test_cli.py:{line_of('assert state ==')}: AssertionError"


@pytest.mark.parametrize("outcome", ["passed", "skipped", "xfailed", "xpassed"])
def test_what_did_not_fail_has_no_failing_line(outcome: str) -> None:
    assert failing_line(failed("E   assert 0\n\na.py:1: AssertionError", outcome)) is None


def test_a_test_that_was_run_again_has_one() -> None:
    expected = FailingLine("assert 0", "a.py:1: AssertionError")
    assert failing_line(failed("E   assert 0\n\na.py:1: AssertionError", "rerun")) == expected


@pytest.mark.parametrize("log", ["", "\n \n", "No log output captured.", "--- Captured stdout call ---\nE   assert 0"])
def test_without_a_traceback_there_is_none(log: str) -> None:
    assert failing_line(failed(log)) is None


def test_captured_output_is_never_taken_for_a_traceback() -> None:
    log = "E   assert 0\n\na.py:1: AssertionError\n---- Captured log call ----\nE   fake\nfake.py:2: FakeError"
    assert failing_line(failed(log)) == FailingLine("assert 0", "a.py:1: AssertionError")


def test_colours_do_not_hide_the_error() -> None:
    log = "\x1b[1m\x1b[31mE   assert 0\x1b[0m\n\n\x1b[1ma.py\x1b[0m:1: AssertionError"
    assert failing_line(failed(log)) == FailingLine("assert 0", "a.py:1: AssertionError")


def test_an_error_without_words_still_has_its_location() -> None:
    assert failing_line(failed("E\nE   \na.py:1: AssertionError")) == FailingLine("", "a.py:1: AssertionError")


def test_a_native_frame_without_a_message_still_has_its_location() -> None:
    assert failing_line(failed('Traceback:\n  File "a.py", line 3, in test\n    x()')) == FailingLine("", "a.py:3")


def test_a_long_message_is_cut_with_a_mark(real_report: RealReport) -> None:
    message, _ = lines_of(real_report("--tb=long"))["test_long_message"]
    assert len(message) <= LINE_MAX_CHARACTERS
    assert message.endswith("characters left out]")


TRACEBACKS = st.lists(
    st.sampled_from(["E   assert 0", "E", "a.py:1: in test", "a.py:1: Error", '  File "a", line 1, in x', "> x", ""])
    | st.text(max_size=30),
    max_size=12,
).map("\n".join)


@given(TRACEBACKS)
def test_any_traceback_gives_a_bounded_line_or_none(log: str) -> None:
    line = failing_line(failed(log))
    if line is not None:
        assert len(line.message) <= LINE_MAX_CHARACTERS
        assert len(line.location) <= LINE_MAX_CHARACTERS
        assert "\n" not in line.message + line.location


def test_a_message_that_announces_the_next_line_is_told_with_it() -> None:
    log = "E   CommandError: 'show radius' failed:\nE     table not loaded\nE     more\n\ncli.py:48: CommandError"
    line = failing_line(failed(log))
    assert line == FailingLine("CommandError: 'show radius' failed: table not loaded", "cli.py:48: CommandError")
