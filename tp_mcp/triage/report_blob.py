"""Parsing of pytest-html reports of generation 4.

Their rows are one JSON document in the attribute `data-jsonblob` of the element `data-container`, near the end of the
file. Reports of 100 MB occur, so the attribute is neither located by an HTML parser nor decoded as a whole: only its
quotation marks, which JSON needs, are decoded, and only the needed parts of the JSON become objects. The strings in it
are still escaped as in an attribute; `html.unescape` decodes those that are used.
"""

import json
import mmap
import re
from typing import TypeAlias

import msgspec

from tp_mcp.errors import ReportError
from tp_mcp.triage.markup import LogForm
from tp_mcp.triage.test_report import (
    FETCH_AGAIN,
    TESTS_MAX,
    Report,
    ReportedTest,
    cut_id,
    id_from_html,
    outcome_named,
    phase_of,
    worst_first,
)

LENIENT_MAX_BYTES = 8_000_000
"""Limit of data that is parsed leniently because it deviates from pytest-html's format."""

QUOTES_UNCOUNTED = 4_000_000
"""Number of quotation marks from which the lists in the data are counted before parsing."""

LISTS_MAX = 4 * TESTS_MAX
"""Limit of lists in the data, three per test: a list takes more memory than space in the file."""

Document: TypeAlias = bytes | mmap.mmap

_CHUNK_BYTES = 1 << 18
_QUOTE = b"&#34;"
_ATTRIBUTE = b'data-jsonblob="'
# In titles and attributes "<" is always an entity: no earlier text can be mistaken for this tag.
_CONTAINER = re.compile(rb'<div\b[^<>]{0,200}?\bid="data-container"\s{1,200}data-jsonblob="')
_LIST = re.compile(rb'(?<!\\)":\s?\[')
_HALF_ESCAPED = re.compile(rb"pytest-html</a>\s{0,200}v4\.0\.")
_CLOCK = re.compile(r"(\d{1,6}):(\d{2}):(\d{2})")
_MILLISECONDS = re.compile(r"(\d{1,12}) ms")


class _Row(msgspec.Struct, gc=False):
    result: str
    testId: str = ""  # noqa: N815 -- the report's own name
    duration: str | float | None = None
    log: msgspec.Raw = msgspec.Raw(b'""')


class _Data(msgspec.Struct):
    tests: dict[str, list[_Row]]


_NO_ROW = _Row("")
_DECODER = msgspec.json.Decoder(_Data)


def container_of(document: Document) -> int | None:
    """Return the start of the data of a generation 4 report; None for other documents."""
    found = _CONTAINER.search(document)
    return found.end() if found else None


def read_blob(document: Document, start: int) -> Report:
    """Parse the rows of a report of generation 4.

    Args:
        start: start of its data, from `container_of`.

    Raises:
        ReportError: the data is cut off, damaged, or larger than that of any report.
    """
    end = document.find(b'"', start)
    if end < 0:
        raise ReportError("The report is cut off: its data has no end.", remedy=FETCH_AGAIN)
    if document[end : end + 2] != b'">':
        raise ReportError("The report is cut off or damaged: something follows its data.", remedy=FETCH_AGAIN)
    data = _unquoted(document, start, end)
    form = LogForm.HALF_ESCAPED if _HALF_ESCAPED.search(document, 0, start) else LogForm.ESCAPED
    try:
        tests = _DECODER.decode(data).tests
    except (ValueError, RecursionError):
        return _read_leniently(data, form)
    read = _Rows(form)
    for key, rows in tests.items():
        read.add_group(key, rows)
    return read.report(len(data))


def _unquoted(document: Document, start: int, end: int) -> bytearray:
    """Return the data with decoded quotation marks, in chunks: the file is never copied as a whole."""
    data = bytearray()
    quotes = 0
    while start < end:
        stop = min(start + _CHUNK_BYTES, end)
        if stop < end and (entity := document.rfind(b"&", stop + 1 - len(_QUOTE), stop)) >= 0:
            # A chunk must not end inside an entity.
            stop = entity
        piece = document[start:stop].replace(_QUOTE, b'"')
        quotes += stop - start - len(piece)
        data += piece
        start = stop
    if quotes // (len(_QUOTE) - 1) > QUOTES_UNCOUNTED and sum(1 for _ in _LIST.finditer(data)) > LISTS_MAX:
        raise ReportError("The report's data has more parts than any report of tests.", remedy=FETCH_AGAIN)
    return data


def _read_leniently(data: bytearray, form: LogForm) -> Report:
    """Parse data that deviates from pytest-html's format; invalid parts are counted."""
    if len(data) > LENIENT_MAX_BYTES:
        raise ReportError("The report is damaged: its data is not in pytest-html's format.", remedy=FETCH_AGAIN)
    try:
        value = json.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise ReportError("The report is cut off or damaged: its data is not JSON.", remedy=FETCH_AGAIN) from None
    tests = value.get("tests") if isinstance(value, dict) else None
    if not isinstance(tests, dict):
        raise ReportError("The report's data is damaged: it has no tests.", remedy="Fetch the report again.")
    read = _Rows(form)
    for key, rows in tests.items():
        if isinstance(rows, list):
            read.add_group(key, [_row(row) for row in rows[:TESTS_MAX]])
            read.left_out += max(len(rows) - TESTS_MAX, 0)
        else:
            read.left_out += 1
    return read.report(len(data))


def _row(row: object) -> _Row:
    """Return a row, with defaults for fields of a wrong type."""
    if not isinstance(row, dict) or not isinstance(result := row.get("result"), str):
        return _NO_ROW
    row_id, log = (value if isinstance(value := row.get(name), str) else "" for name in ("testId", "log"))
    return _Row(result, row_id, row.get("duration"), msgspec.Raw(json.dumps(log)))


class _Rows:
    """Rows collected so far."""

    def __init__(self, form: LogForm) -> None:
        self.left_out = 0
        self._read: list[ReportedTest] = []
        self._form = form
        # Most rows share a few values: a lookup is faster than parsing.
        self._durations: dict[object, float | None] = {}

    def add_group(self, key: str, rows: list[_Row]) -> None:
        test_id = cut_id(id_from_html(key))
        group = [
            ReportedTest(test_id, outcome, phase_of(row.testId, key), self._seconds(row.duration), row.log, self._form)
            for row in rows[: TESTS_MAX - len(self._read)]
            if (outcome := outcome_named(row.result)) is not None
        ]
        self._read.extend(worst_first(group))
        self.left_out += len(rows) - len(group)

    def report(self, size_bytes: int) -> Report:
        return Report(tuple(self._read), self.left_out, size_bytes)

    def _seconds(self, duration: object) -> float | None:
        if not isinstance(duration, str):
            return None
        if duration not in self._durations:
            self._durations[duration] = _seconds(duration)
        return self._durations[duration]


def _seconds(duration: str) -> float | None:
    milliseconds = _MILLISECONDS.fullmatch(duration)
    if milliseconds:
        return int(milliseconds[1]) / 1000
    clock = _CLOCK.fullmatch(duration)
    if clock:
        return float(int(clock[1]) * 3600 + int(clock[2]) * 60 + int(clock[3]))
    return None
