"""Parsing of a pytest-html report of any generation.

One row of the report is one `ReportedTest`. A test has several rows if its teardown failed as well, or if it was rerun;
they are adjacent, under the same id, the worst outcome first. They are not merged, so that counts agree with the
report's own summary.
"""

import contextlib
import mmap
import re
from pathlib import Path

from tp_mcp.errors import ReportError
from tp_mcp.triage.markup import LogForm
from tp_mcp.triage.report_blob import Document, container_of, read_blob
from tp_mcp.triage.test_report import (
    FETCH_AGAIN,
    TESTS_MAX,
    Outcome,
    Phase,
    Report,
    ReportedTest,
    cut_id,
    id_from_html,
    outcome_named,
    worst_first,
)

_TABLE = b'<table id="results-table">'
_ROW = re.compile(rb'<tbody class="([a-z]{1,20}) results-table-row"[^<>]{0,200}>')
_EXTRA = b'<td class="extra"'
_NAME = re.compile(rb'<td class="col-name"[^<>]{0,200}>([^<]*)</td>')
_DURATION = re.compile(rb'<td class="col-duration"[^<>]{0,200}>\s{0,20}(\d{1,12}(?:\.\d{1,9})?)\s{0,20}</td>')
_MARKED_PHASES: tuple[Phase, ...] = ("setup", "teardown", "collect")


def read_rows(document: Document) -> Report:
    """Parse the rows of a report of generation 3. Raises ReportError: the report is cut off."""
    start = document.find(_TABLE)
    if start < 0 or document.rfind(b"</html>") < start:
        raise ReportError("The report is cut off: its table has no end.", remedy=FETCH_AGAIN)
    marks = _ROW.finditer(document, start)
    groups: dict[str, list[ReportedTest]] = {}
    read = left_out = 0
    mark = next(marks, None)
    while mark is not None:
        following = next(marks, None)
        if read == TESTS_MAX:
            left_out += 1
        else:
            row = document[mark.end() : len(document) if following is None else following.start()]
            test = _test(mark[1].decode("ascii"), row)
            if test is None:
                left_out += 1
            else:
                groups.setdefault(test.test_id, []).append(test)
                read += 1
        mark = following
    tests = tuple(test for group in groups.values() for test in worst_first(group))
    return Report(tests, left_out, len(document))


def _test(result: str, row: bytes) -> ReportedTest | None:
    extra = row.find(_EXTRA)
    head = row if extra < 0 else row[:extra]
    name = _NAME.search(head)
    outcome = outcome_named(result)
    if name is None or outcome is None:
        return None
    test_id, phase = _id_and_phase(id_from_html(name[1].decode("utf-8", "replace")))
    duration = _DURATION.search(head)
    return ReportedTest(
        test_id=cut_id(test_id),
        outcome=outcome,
        phase=phase,
        duration_seconds=float(duration[1]) if duration else None,
        markup=b"" if extra < 0 else row[extra : row.rfind(b"</tbody>")],
        form=LogForm.ROW,
    )


def _id_and_phase(name: str) -> tuple[str, Phase]:
    for phase in _MARKED_PHASES:
        if name.endswith(f"::{phase}"):
            return name.removesuffix(f"::{phase}"), phase
    return _as_pytest_writes_it(name), "call"


def _as_pytest_writes_it(name: str) -> str:
    r"""Undo the decoding of generation 3: return `test[\xfc]` where it shows `test[ü]`.

    It decodes every id as if it were escaped. Parameters are, paths are not: their UTF-8 is decoded as Latin-1.
    """
    path, bracket, parameters = name.partition("[")
    with contextlib.suppress(UnicodeError):
        path = path.encode("latin-1").decode("utf-8")
    return path + bracket + parameters.encode("unicode_escape").decode("ascii")


__all__ = ["REPORT_MAX_BYTES", "Outcome", "Phase", "Report", "ReportedTest", "parse_report"]

REPORT_MAX_BYTES = 128_000_000
"""Limit of a report, in bytes, when it is fetched and when it is parsed; a text counts its characters."""

WITH_DATA = 4
"""Generation from which the rows are JSON data instead of a table."""

_ANYTHING = re.compile(rb"\S")
_GENERATION = re.compile(rb"pytest-html</a>\s{0,200}v(\d{1,4})\b")


def parse_report(document: bytes | str | Path) -> Report:
    """Parse a report.

    Args:
        document: HTML file, its text, or its path. Bytes are decoded as UTF-8; invalid ones are replaced.

    Raises:
        ReportError: the report is too large, empty, cut off, damaged or not from pytest-html.
        OSError: the file cannot be read.
    """
    if not isinstance(document, Path):
        _check_size(len(document))
        return _parse(document.encode("utf-8", "replace") if isinstance(document, str) else document)
    size = document.stat().st_size
    _check_size(size)
    if size == 0:
        return _parse(b"")
    with document.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        return _parse(mapped)


def _parse(document: Document) -> Report:
    start = container_of(document)
    if start is not None:
        return read_blob(document, start)
    if _ANYTHING.search(document) is None:
        raise ReportError("The report is empty.", remedy=FETCH_AGAIN)
    generation = _GENERATION.search(document)
    if generation is None:
        raise ReportError("This is not a pytest-html report.", remedy="Check the report's path.")
    if int(generation[1]) >= WITH_DATA:
        raise ReportError("The report is cut off before its data.", remedy=FETCH_AGAIN)
    return read_rows(document)


def _check_size(size: int) -> None:
    if size > REPORT_MAX_BYTES:
        raise ReportError(
            f"The report has {size:,} bytes; the limit is {REPORT_MAX_BYTES:,}.",
            remedy="Open it in a browser, or run fewer tests at once.",
        )
