import html
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tp_mcp.errors import ReportError
from tp_mcp.triage import report_blob as blob_module
from tp_mcp.triage import report_parser as report_module
from tp_mcp.triage.markup import LOG_MAX_CHARACTERS, LogForm, log_text
from tp_mcp.triage.report_parser import Report, ReportedTest, parse_report
from tp_mcp.triage.test_report import TEST_ID_MAX_CHARACTERS

RealReport = Callable[..., bytes]


def written(data: object, *, tail: str = "></div></body></html>") -> str:
    """Return a report around the data, escaped as pytest-html's template does it."""
    blob = json.dumps(data)
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("'", "&#39;"), ('"', "&#34;")):
        blob = blob.replace(character, entity)
    return f'<html><body><div id="data-container" data-jsonblob="{blob}"{tail}'


def row(**changes: Any) -> dict[str, Any]:
    return {"result": "Failed", "testId": "a.py::test", "duration": "12 ms", "log": "", **changes}


def only(data: object) -> ReportedTest:
    (test,) = parse_report(written(data)).tests
    return test


def test_every_row_of_a_real_report_is_read_with_its_outcome_and_phase(real_report: RealReport) -> None:
    report = parse_report(real_report("--self-contained-html"))
    rows = [(test.test_id.removeprefix("test_cli.py::"), test.outcome, test.phase) for test in report.tests]
    assert report.left_out == 0
    assert rows == [
        ("test_broken.py", "error", "collect"),
        ("TestShow::test_ok", "passed", "call"),
        ("TestShow::test_param[a b]", "passed", "call"),
        ("TestShow::test_param[<td>x</td>]", "failed", "call"),
        (r"TestShow::test_param[\xfc-\u8a9e]", "passed", "call"),
        ("TestShow::test_param[a/b::c]", "passed", "call"),
        ("TestShow::test_param[x'&amp;\"y]", "passed", "call"),
        ("TestShow::test_param[][]", "passed", "call"),
        ("TestShow::test_param[&#34;]", "passed", "call"),
        ("test_deep", "failed", "call"),
        ("test_compare", "failed", "call"),
        ("test_chain", "failed", "call"),
        ("test_setup", "error", "setup"),
        ("test_teardown", "error", "teardown"),
        ("test_teardown", "passed", "call"),
        ("test_both", "failed", "call"),
        ("test_both", "error", "teardown"),
        ("test_missing", "error", "setup"),
        ("test_skip", "skipped", "setup"),
        ("test_xfail", "xfailed", "call"),
        ("test_xpass", "xpassed", "call"),
        ("test_strict", "failed", "call"),
        ("test_group", "failed", "call"),
        ("test_explicit", "failed", "call"),
        ("test_long_message", "failed", "call"),
    ]


def test_the_rows_agree_with_pytest_s_own_summary(real_report: RealReport) -> None:
    document = real_report("--self-contained-html")
    counts = Counter[str](test.outcome for test in parse_report(document).tests)
    for outcome, label in (("failed", "Failed"), ("passed", "Passed"), ("error", "Errors"), ("skipped", "Skipped")):
        assert f">{counts[outcome]} {label}," in document.decode()


def test_failures_are_what_failed_or_ended_in_an_error(real_report: RealReport) -> None:
    report = parse_report(real_report("--self-contained-html"))
    assert {test.outcome for test in report.failures} == {"failed", "error"}
    assert len(report.failures) == sum(test.outcome in {"failed", "error"} for test in report.tests)


def test_logs_are_decoded_to_what_the_test_wrote(real_report: RealReport) -> None:
    logs = {test.test_id: test.log for test in parse_report(real_report("--self-contained-html")).tests}
    assert 'hello <b>&amp; "x"</b> grün' in logs["test_cli.py::TestShow::test_ok"]
    assert 'E       AssertionError: state & "more"' in logs["test_cli.py::test_deep"]
    assert "E       assert {'port': 'down'} == {'port': 'up <1>'}" in logs["test_cli.py::test_deep"]
    assert "WARNING  ssh:test_cli.py" in logs["test_cli.py::test_deep"]
    assert logs["test_cli.py::test_xpass"] == ""


def test_a_report_is_read_as_text_as_well_as_bytes(real_report: RealReport) -> None:
    document = real_report("--self-contained-html")
    assert parse_report(document.decode()) == parse_report(document)


def test_a_report_with_linked_style_sheets_is_read_too(real_report: RealReport) -> None:
    assert len(parse_report(real_report()).tests) == 25


def test_the_log_of_a_test_is_not_in_its_repr() -> None:
    test = only({"tests": {"a.py::test": [row(log="s3cret")]}})
    assert test.log == "s3cret"
    assert "s3cret" not in repr(test)


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        ("0 ms", 0.0),
        ("12 ms", 0.012),
        ("00:00:01", 1.0),
        ("02:03:04", 7384.0),
        ("1.5 s", None),
        ("", None),
        (None, None),
        (3, None),
    ],
)
def test_durations_are_seconds_where_they_can_be_read(duration: object, seconds: float | None) -> None:
    assert only({"tests": {"a": [row(duration=duration)]}}).duration_seconds == seconds


def test_a_test_that_was_run_again_shows_its_last_outcome_first() -> None:
    rows = [row(result="Rerun"), row(result="Rerun"), row(result="Passed")]
    tests = parse_report(written({"tests": {"a": rows}})).tests
    assert [test.outcome for test in tests] == ["passed", "rerun", "rerun"]


@pytest.mark.parametrize("row_id", ["a.py::te", None, 3, "a.py::test::elsewhere"])
def test_a_row_whose_own_id_is_confused_counts_as_the_call(row_id: object) -> None:
    assert only({"tests": {"a.py::test": [row(testId=row_id)]}}).phase == "call"


def test_rows_without_a_known_outcome_are_counted_and_not_guessed() -> None:
    tests = {"a": [row(result="Flaky"), row(result=3), "text", row()], "b": "text", "c": []}
    report = parse_report(written({"tests": tests}))
    assert [test.test_id for test in report.tests] == ["a"]
    assert report.left_out == 4


def test_more_rows_than_are_read_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_module, "TESTS_MAX", 3)
    report = parse_report(written({"tests": {f"test{number}": [row(), row()] for number in range(4)}}))
    assert [test.test_id for test in report.tests] == ["test0", "test0", "test1"]
    assert report.left_out == 5


def test_data_of_more_parts_than_any_report_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    document = written({"tests": {f"test{number}": [row(log='": [] \\": []')] for number in range(30)}})
    monkeypatch.setattr(blob_module, "LISTS_MAX", 30)
    assert len(parse_report(document).tests) == 30
    monkeypatch.setattr(blob_module, "QUOTES_UNCOUNTED", 50)
    assert len(parse_report(document).tests) == 30
    monkeypatch.setattr(blob_module, "LISTS_MAX", 29)
    with pytest.raises(ReportError, match="more parts than any report"):
        parse_report(document)


def test_large_data_that_pytest_html_does_not_write_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_module, "LENIENT_MAX_BYTES", 50)
    with pytest.raises(ReportError, match="not in pytest-html's format"):
        parse_report(written({"tests": {"a": [3] * 30}}))


def test_numbers_that_are_none_do_no_harm_elsewhere_in_the_data() -> None:
    assert only({"environment": {"load": float("nan")}, "tests": {"a": [row()]}}).outcome == "failed"


def test_a_log_that_is_no_text_is_no_log() -> None:
    document = written({"tests": {"a": [row(log="LOG")]}})
    assert parse_report(document.replace("&#34;LOG&#34;", "[1]")).tests[0].log == ""
    assert parse_report(document.replace("LOG", r"\ud800")).tests[0].log == "\ud800"
    assert log_text(b'"cut', LogForm.ESCAPED) == '"cut'


def test_a_file_is_read_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(written({"tests": {"a": [row()]}}), encoding="utf-8")
    assert [test.test_id for test in parse_report(path).tests] == ["a"]
    path.write_text("", encoding="utf-8")
    with pytest.raises(ReportError, match="empty"):
        parse_report(path)


def test_what_pytest_retry_calls_retried_is_a_rerun() -> None:
    assert only({"tests": {"a": [row(result="Retried")]}}).outcome == "rerun"


def test_bytes_that_are_not_utf_8_are_replaced() -> None:
    document = written({"tests": {"a-ID": [row(log="b-LOG")]}}).encode()
    (test,) = parse_report(document.replace(b"ID", b"\xff").replace(b"LOG", b"\xfe")).tests
    assert (test.test_id, test.log) == ("a-\ufffd", "b-\ufffd")
    (test,) = parse_report(document.replace(b"LOG", b"\xfe")).tests
    assert test.log == "b-\ufffd"


@pytest.mark.parametrize("size", [1, 2, 7, 64, 1000])
def test_the_size_of_the_pieces_in_which_data_is_decoded_does_not_matter(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests = {'a "b" &#34; <c>': [row(log=html.escape('said "x" & &#34;')), row(log='\\"')]}
    whole = [(test.test_id, test.log) for test in parse_report(written({"tests": tests})).tests]
    monkeypatch.setattr(blob_module, "_CHUNK_BYTES", max(size, len("&#34;")))
    assert [(test.test_id, test.log) for test in parse_report(written({"tests": tests})).tests] == whole
    assert whole[0] == ('a "b" &#34; <c>', 'said "x" & &#34;')


def test_a_long_log_keeps_its_beginning_and_end_and_says_what_is_missing() -> None:
    log = only({"tests": {"a": [row(log="b" + "&amp;" * 1_000_000 + "e")]}}).log
    assert len(log) < LOG_MAX_CHARACTERS + 100
    assert log.startswith("b&&&")
    assert log.endswith("&&&e")
    assert "characters left out" in log


def test_a_long_id_is_cut_with_a_mark() -> None:
    test_id = only({"tests": {"a" * (TEST_ID_MAX_CHARACTERS + 7): [row()]}}).test_id
    assert test_id == "a" * TEST_ID_MAX_CHARACTERS + "[... 7 characters left out]"


def test_markup_for_colours_is_taken_out_of_a_log() -> None:
    log = '<span class="ansi31">E   assert &lt;b&gt; == 1</span>'
    assert only({"tests": {"a": [row(log=log)]}}).log == "E   assert <b> == 1"
    assert only({"tests": {"a": [row(log=None)]}}).log == ""


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("", "empty"),
        (b" \n", "empty"),
        ("<html><form>Log in</form></html>", "not a pytest-html report"),
        ('<a href="x">pytest-html</a> v3.2.0</p>', "cut off: its table has no end"),
        ('<a href="x">pytest-html</a>\n        v4.2.0</p>', "cut off before its data"),
        (written({"tests": {}})[:-40], "cut off: its data has no end"),
        (written({"tests": {}}, tail=""), "cut off or damaged: something follows"),
        ('<div id="data-container" data-jsonblob="">', "not JSON"),
        ('<div id="data-container" data-jsonblob="' + "[" * 100_000 + '">', "not JSON"),
        ('<div id="data-container" data-jsonblob="' + "1" * 10_000 + '">', "not JSON"),
        (written([]), "has no tests"),
        (written({"tests": []}), "has no tests"),
        (written({}), "has no tests"),
    ],
)
def test_a_document_that_cannot_be_read_is_told(document: str | bytes, message: str) -> None:
    with pytest.raises(ReportError, match=message) as caught:
        parse_report(document)
    assert caught.value.remedy


def test_a_report_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_module, "REPORT_MAX_BYTES", 1_000)
    with pytest.raises(ReportError, match="1,001 bytes; the limit is 1,000"):
        parse_report(b"x" * 1_001)


def test_a_report_cut_off_anywhere_is_told_and_never_half_read(real_report: RealReport) -> None:
    document = real_report("--self-contained-html")
    end = document.index(b'data-jsonblob="')
    for length in (10, 1_000, end - 5, end + 5, end + 15, end + 500, end + 5_000):
        with pytest.raises(ReportError):
            parse_report(document[:length])


def test_a_test_cannot_fake_the_data_from_its_output() -> None:
    fake = '"></div><div id="data-container" data-jsonblob="{}"'
    test = only({"tests": {"a.py::test": [row(log=html.escape(fake))]}})
    assert test.log == fake
    titled = written({"tests": {"a": [row()]}}).replace("<body>", f"<body>{html.escape(fake)}")
    assert [test.test_id for test in parse_report(titled).tests] == ["a"]


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_any_id_and_any_log_come_through(test_id: str, log: str) -> None:
    test = only({"tests": {test_id: [row(log=html.escape(log))]}})
    assert test.test_id == test_id
    assert test.log == ("" if log == "No log output captured." else log)


VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=10) | st.sampled_from(["Passed", "Failed"])
ROWS = st.fixed_dictionaries({}, optional=dict.fromkeys(("result", "testId", "duration", "log"), VALUES))


@given(st.dictionaries(st.text(max_size=5), VALUES | st.lists(VALUES | ROWS, max_size=4), max_size=4))
def test_any_data_is_read_or_counted(tests: dict[str, Any]) -> None:
    report = parse_report(written({"tests": tests}))
    assert isinstance(report, Report)
    assert all(isinstance(test.log, str) for test in report.tests)
    expected = sum(len(rows) if isinstance(rows, list) else 1 for rows in tests.values())
    assert len(report.tests) + report.left_out == expected
