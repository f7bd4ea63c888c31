"""The tests of a pytest-html report, generation 4.

One row of the report is one `ReportedTest`. A test has several rows where its teardown failed after it had passed or
failed, or where it was run again: the rows then stand together under the same id, the worst outcome first. They are
not merged, so that their numbers agree with pytest's own summary.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from tp_mcp.errors import ReportError
from tp_mcp.triage.blob import report_data

REPORT_MAX_BYTES = 256_000_000
"""Largest report that is read, in bytes; a text counts with its characters."""

TESTS_MAX = 200_000
"""Most rows that are read from a report; further ones are counted."""

LOG_MAX_CHARACTERS = 200_000
"""Longest log of one row; of a longer one the middle is left out, with a mark."""

TEST_ID_MAX_CHARACTERS = 2_000
"""Longest id of a test; of a longer one the end is left out, with a mark."""

Outcome: TypeAlias = Literal["passed", "failed", "error", "skipped", "xfailed", "xpassed", "rerun"]
Phase: TypeAlias = Literal["collect", "setup", "call", "teardown"]

# The worst first: a failure says more than the teardown error that may follow from it.
_WORST_FIRST: tuple[Outcome, ...] = ("failed", "error", "xpassed", "passed", "xfailed", "skipped", "rerun")
_PHASES: tuple[Phase, ...] = ("collect", "setup", "call", "teardown")
_NO_LOG = "No log output captured."
_CLOCK = re.compile(r"(\d{1,6}):(\d{2}):(\d{2})")
_MILLISECONDS = re.compile(r"(\d{1,12}) ms")
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,300}>")


@dataclass(frozen=True, slots=True)
class ReportedTest:
    """One row of a report.

    Attributes:
        test_id: pytest's node id, whole; characters beyond ASCII in parameters are escaped by pytest.
        outcome: how it ended; "error" outside the test itself, in collection, setup or teardown.
        phase: the part that the row is about.
        duration_seconds: how long it took, to the millisecond below a second and to the second above; None where the
            report says it in a form of its own.
        markup: traceback and captured output as the report holds them; read `log` instead.

    """

    test_id: str
    outcome: Outcome
    phase: Phase
    duration_seconds: float | None
    # Decoded on demand: most tests pass, and nobody reads what a passing test wrote.
    markup: str = field(repr=False)

    @property
    def log(self) -> str:
        """Return the traceback and the captured output as text; empty where there was none. Data from outside."""
        return _log(self.markup)


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says.

    Attributes:
        tests: its rows in the report's order, those of one test together with the worst outcome first.
        left_out: number of rows that were not read, because there are too many or they have no known outcome.

    """

    tests: tuple[ReportedTest, ...]
    left_out: int = 0

    @property
    def failures(self) -> tuple[ReportedTest, ...]:
        """Return the rows that failed or ended in an error, in order."""
        return tuple(test for test in self.tests if test.outcome in {"failed", "error"})


def parse_report(document: str | bytes) -> Report:
    """Read a report.

    Args:
        document: the HTML file; bytes are taken as UTF-8, and what is not UTF-8 in them is replaced.

    Raises:
        ReportError: it is too large, empty, cut off, no pytest-html report of generation 4, or damaged.

    """
    if len(document) > REPORT_MAX_BYTES:
        raise ReportError(
            f"The report has {len(document):,} bytes, and {REPORT_MAX_BYTES:,} are read.",
            remedy="Open it in a browser, or run fewer tests at once.",
        )
    text = document.decode("utf-8", "replace") if isinstance(document, bytes) else document
    # The last reference goes with the text: a large report is not held beside its rows.
    del document
    data = report_data(text)
    del text
    tests = data.get("tests") if isinstance(data, dict) else None
    if not isinstance(tests, dict):
        raise ReportError("The report's data is damaged: it has no tests.", remedy="Fetch the report again.")
    return _report(tests)


def _report(tests: dict[str, object]) -> Report:
    read: list[ReportedTest] = []
    left_out = 0
    for test_id in list(tests):
        # Taken out one by one, so that a row's raw form is freed when it was read.
        rows = tests.pop(test_id)
        if not isinstance(rows, list):
            left_out += 1
            continue
        group = sorted(_group(test_id, rows), key=lambda test: _WORST_FIRST.index(test.outcome))
        fitting = group[: TESTS_MAX - len(read)]
        read.extend(fitting)
        left_out += len(rows) - len(fitting)
    return Report(tuple(read), left_out)


def _group(test_id: str, rows: list[object]) -> Iterator[ReportedTest]:
    for row in rows:
        outcome = _outcome(row.get("result")) if isinstance(row, dict) else None
        if not isinstance(row, dict) or outcome is None:
            continue
        markup = row.get("log")
        yield ReportedTest(
            test_id=_cut_end(html.unescape(test_id)),
            outcome=outcome,
            phase=_phase(test_id, row.get("testId")),
            duration_seconds=_seconds(row.get("duration")),
            markup=markup if isinstance(markup, str) else "",
        )


def _outcome(value: object) -> Outcome | None:
    name = value.lower() if isinstance(value, str) else ""
    return name if name in _WORST_FIRST else None


def _phase(test_id: str, row_id: object) -> Phase:
    """Return the part of a test that a row is about.

    The row's own id is the test's with the phase behind it. Where odd characters in it confused the report it may be
    cut; then it counts as the call.
    """
    phase = row_id.removeprefix(f"{test_id}::") if isinstance(row_id, str) else ""
    return phase if phase in _PHASES else "call"


def _seconds(value: object) -> float | None:
    if not isinstance(value, str):
        return None
    milliseconds = _MILLISECONDS.fullmatch(value)
    if milliseconds:
        return int(milliseconds[1]) / 1000
    clock = _CLOCK.fullmatch(value)
    if clock:
        return float(int(clock[1]) * 3600 + int(clock[2]) * 60 + int(clock[3]))
    return None


def _log(markup: str) -> str:
    if markup == _NO_LOG:
        return ""
    # Entities are longer than what they stand for: cutting before decoding bounds the work, cutting after the length.
    # The log is HTML inside an attribute: decoded twice, and what is not escaped between is markup, for colours.
    text = html.unescape(_cut_middle(markup, 10 * LOG_MAX_CHARACTERS))
    return _cut_middle(html.unescape(_TAG.sub("", text)), LOG_MAX_CHARACTERS)


def _cut_middle(text: str, maximum: int) -> str:
    if len(text) <= maximum:
        return text
    half = maximum // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half:,} characters left out ...]\n{text[-half:]}"


def _cut_end(text: str) -> str:
    if len(text) <= TEST_ID_MAX_CHARACTERS:
        return text
    return f"{text[:TEST_ID_MAX_CHARACTERS]}[... {len(text) - TEST_ID_MAX_CHARACTERS:,} characters left out]"
