"""Parsing of a pytest-html report of any generation.

One row of the report is one `ReportedTest`. A test has several rows if its teardown failed as well, or if it was rerun;
they are adjacent, under the same id, the worst outcome first. They are not merged, so that counts agree with the
report's own summary.
"""

import mmap
import re
from pathlib import Path

from tp_mcp.errors import ReportError
from tp_mcp.triage.report_blob import Document, container_of, read_blob
from tp_mcp.triage.report_rows import read_rows
from tp_mcp.triage.test_report import FETCH_AGAIN, Outcome, Phase, Report, ReportedTest

__all__ = ["REPORT_MAX_BYTES", "Outcome", "Phase", "Report", "ReportedTest", "parse_report"]

REPORT_MAX_BYTES = 100_000_000
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
