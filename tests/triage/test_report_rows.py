"""Generation 3, beyond what the real reports hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tp_mcp.errors import ReportError
from tp_mcp.triage import report_parser as rows_module
from tp_mcp.triage.markup import LOG_MAX_CHARACTERS
from tp_mcp.triage.report_parser import ReportedTest, parse_report

HEAD = '<html><body><p>by <a href="x">pytest-html</a> v3.2.0</p><table id="results-table"><thead></thead>'


def row(result: str = "failed", name: str = "a.py::test", duration: str = "0.01", log: str = "") -> str:
    cells = f'<td class="col-result">x</td><td class="col-name">{name}</td><td class="col-duration">{duration}</td>'
    extra = f'<tr><td class="extra" colspan="4"><div class="log">{log}</div></td></tr>'
    return f'<tbody class="{result} results-table-row"><tr>{cells}</tr>{extra}</tbody>'


def report(*rows: str, tail: str = "</table></body></html>") -> str:
    return HEAD + "".join(rows) + tail


def only(*rows: str) -> ReportedTest:
    (test,) = parse_report(report(*rows)).tests
    return test


def test_a_report_without_a_test_is_empty() -> None:
    assert parse_report(report()).tests == ()


def test_a_cut_off_report_is_told_and_never_half_read() -> None:
    document = report(row(), row())
    for length in range(len(HEAD) - 30, len(document) - len("</html>"), 7):
        with pytest.raises(ReportError, match="cut off"):
            parse_report(document[:length])


@pytest.mark.parametrize("broken", [row(result="flaky"), row().replace("col-name", "col-id")])
def test_a_row_without_an_id_or_a_known_outcome_is_counted(broken: str) -> None:
    parsed = parse_report(report(row(), broken))
    assert (len(parsed.tests), parsed.left_out) == (1, 1)


def test_more_rows_than_are_read_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "TESTS_MAX", 2)
    parsed = parse_report(report(*(row(name=f"t{number}") for number in range(5))))
    assert ([test.test_id for test in parsed.tests], parsed.left_out) == (["t0", "t1"], 3)


@pytest.mark.parametrize(("text", "seconds"), [("0.01", 0.01), ("12", 12.0), ("", None), ("00:01", None)])
def test_durations_are_seconds_where_they_can_be_read(text: str, seconds: float | None) -> None:
    assert only(row(duration=text)).duration_seconds == seconds


@pytest.mark.parametrize(
    ("name", "test_id"),
    [
        ("a.py::test[&lt;x&gt; &amp;amp;]", "a.py::test[<x> &amp;]"),
        ("a.py::test[\u00fc]", r"a.py::test[\xfc]"),
        ("a.py::test[a\\b\nc]", r"a.py::test[a\\b\nc]"),
        ("gr\u00c3\u00bcn/a.py::test", "gr\u00fcn/a.py::test"),
        ("gr\u00fcn/a.py::test", "gr\u00fcn/a.py::test"),
        ("\u8a9e/a.py::test", "\u8a9e/a.py::test"),
    ],
)
def test_ids_are_pytest_s_own(name: str, test_id: str) -> None:
    assert only(row(name=name)).test_id == test_id


@pytest.mark.parametrize("phase", ["setup", "teardown", "collect"])
def test_the_phase_stands_behind_the_id(phase: str) -> None:
    test = only(row(result="error", name=f"a.py::test::{phase}"))
    assert (test.test_id, test.phase) == ("a.py::test", phase)


def test_a_row_without_a_log_has_an_empty_one() -> None:
    assert only(row().replace('class="log"', 'class="mine"')).log == ""
    assert only(row().replace('class="extra"', 'class="mine"')).log == ""
    assert only(row(log="No log output captured.")).log == ""
    assert only(row(log="half").replace("</div>", "")).log == "half"


def test_colours_and_line_breaks_are_taken_out_of_a_log() -> None:
    log = '<span class="error">E   assert &lt;b&gt;</span><br/> ----Captured stdout call---- <br/>x<br />'
    assert only(row(log=log)).log == "E   assert <b>\n---- Captured stdout call ----\nx\n"


def test_a_long_log_keeps_its_beginning_and_end() -> None:
    log = only(row(log="b" + "&amp;" * 1_000_000 + "e")).log
    assert len(log) < LOG_MAX_CHARACTERS + 100
    assert (log[0], log[-1]) == ("b", "e")
    assert "characters left out" in log


@given(st.text(st.sampled_from('<>/="abtd ytbodyclassresults-tablerow&;#34\n'), max_size=200))
def test_any_text_between_the_rows_is_read_or_counted(text: str) -> None:
    parsed = parse_report(report(row(), text, row(name="b")))
    assert all(isinstance(test.log, str) for test in parsed.tests)
    assert {test.test_id for test in parsed.tests} >= {"a.py::test"}
