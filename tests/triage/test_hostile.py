"""Reports that were made to take time or memory: what they take stays within bounds that follow from their size."""

import tracemalloc
from collections.abc import Callable

import pytest

from tp_mcp.errors import ReportError
from tp_mcp.triage import report_blob, report_parser, test_report
from tp_mcp.triage.failing_line import failing_line
from tp_mcp.triage.report_parser import Report, parse_report
from tp_mcp.triage.test_report import TEST_ID_MAX_CHARACTERS

SIZE = 300_000
MOST_TIMES = 40
"""How many times the size of a file reading it may take: an empty list of two characters takes 56 bytes and a place."""

TABLE = b'<a href="x">pytest-html</a> v3.2.0<table id="results-table">'
ROW = b'<tbody class="failed results-table-row"><td class="col-name">'


def data(json: bytes) -> bytes:
    return b'<div id="data-container" data-jsonblob="' + json.replace(b'"', b"&#34;") + b'"></div></html>'


def table(row: bytes) -> bytes:
    return TABLE + row + b"</tbody></table></html>"


def many(unit: bytes) -> bytes:
    return unit * (SIZE // len(unit.replace(b'"', b"&#34;")))


def of_tests(inside: bytes) -> bytes:
    return data(b'{"tests":{' + inside + b"}}")


HOSTILE: dict[str, Callable[[], bytes]] = {
    "tests without rows": lambda: of_tests(b",".join(b'"%x":[]' % number for number in range(SIZE // 18))),
    "rows of nothing": lambda: of_tests(b'"a":[' + many(b"{},") + b"{}]"),
    "rows without an outcome": lambda: of_tests(b'"a":[' + many(b'{"result":""},') + b'{"result":""}]'),
    "rows and rows": lambda: of_tests(b'"a":[' + many(b'{"result":"passed"},') + b'{"result":"passed"}]'),
    "lists beside the tests": lambda: data(b'{"x":[' + many(b"[],") + b'[]],"tests":{}}'),
    "lists for rows": lambda: of_tests(b'"a":[' + many(b"[],") + b"[]]"),
    "nesting": lambda: of_tests(b'"a":' + many(b"[") + many(b"]")),
    "nesting beside the tests": lambda: data(b'{"x":' + many(b"[") + many(b"]") + b',"tests":{}}'),
    "a number": lambda: of_tests(b'"a":[{"result":"Failed","duration":' + many(b"1") + b"}]"),
    "an id of entities": lambda: of_tests(b'"' + many(b"&amp;") + b'":[{"result":"Failed"}]'),
    "an id with many rows": lambda: of_tests(
        b'"' + many(b"a") + b'":[' + many(b'{"result":"Failed","testId":"b"},') + b'{"result":"Failed"}]'
    ),
    "a log of entities": lambda: of_tests(b'"a":[{"result":"Failed","log":"' + many(b"&amp;amp;") + b'"}]'),
    "tags": lambda: many(b"<div " + b"a " * 98 + b"id="),
    "rows of a table": lambda: table(many(ROW)),
    "rows of a table that has them": lambda: table(many(ROW + b"a</td>")),
    "names without an end": lambda: table(ROW + many(b'<td class="col-name">a')),
    "a name of entities": lambda: table(ROW + many(b"&amp;") + b"</td>"),
    "an attribute": lambda: table(
        b'<tbody class="failed results-table-row" x="' + many(b"a") + b'">' + ROW + b"a</td>"
    ),
    "logs in a row": lambda: table(ROW + b'a</td><td class="extra">' + many(b'<div class="log">----')),
    "dashes in a log": lambda: table(ROW + b'a</td><td class="extra"><div class="log">' + many(b"-") + b"</div>"),
    "tags in a log": lambda: table(ROW + b'a</td><td class="extra"><div class="log">' + many(b"</a") + b"</div>"),
}


def read(document: bytes) -> Report | None:
    try:
        report = parse_report(document)
    except ReportError:
        return None
    for test in report.tests[:100]:
        failing_line(test)
    return report


@pytest.mark.parametrize("name", HOSTILE)
def test_memory_and_time_stay_within_bounds(name: str) -> None:
    document = HOSTILE[name]()
    tracemalloc.start()
    try:
        report = read(document)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MOST_TIMES * len(document)
    assert report is None or all(len(test.test_id) < TEST_ID_MAX_CHARACTERS + 100 for test in report.tests)


def test_of_one_test_with_more_rows_than_are_read_the_others_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (report_blob, report_parser, test_report):
        monkeypatch.setattr(module, "TESTS_MAX", 10)
    report = parse_report(HOSTILE["rows and rows"]())
    assert len(report.tests) == 10
    assert report.left_out > 5_000


def test_a_far_too_long_id_is_cut_as_it_stands() -> None:
    [test] = parse_report(HOSTILE["an id of entities"]()).tests
    assert test.test_id.startswith("&amp;&amp;")
    assert test.test_id.endswith("characters left out]")
