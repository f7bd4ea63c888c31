"""Parsing of pytest-html reports of generation 3, whose rows are parts of a table.

    <tbody class="failed results-table-row"><tr>
      <td class="col-result">Failed</td><td class="col-name">a.py::test[&lt;x&gt;]</td>
      <td class="col-duration">0.01</td> ... </tr>
      <tr><td class="extra" colspan="4"><div class="log"> traceback and captured output </div></td></tr></tbody>

Text contains "<" only as an entity, so the tags are located as bytes. That takes a fraction of the time of an HTML
parser, which would visit each tag of each log.
"""

import contextlib
import re

from tp_mcp.errors import ReportError
from tp_mcp.triage.markup import LogForm
from tp_mcp.triage.report_blob import Document
from tp_mcp.triage.test_report import (
    FETCH_AGAIN,
    TESTS_MAX,
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
