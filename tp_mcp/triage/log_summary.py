"""Tests in pytest's short summary at the end of a log, used if there is no report.

    =========================== short test summary info ============================
    FAILED Tests_CLI/test_poe.py::TestPoe::test_budget - AssertionError: no 448E has a budget of 370000 W
    ERROR Tests_CLI/test_x.py::test_y[a - b] - OSError: lost device
    ========================= 2 failed, 48 passed in 12.30s =========================

By default pytest lists here failures and errors, in the order of the run.
"""

import re
from dataclasses import dataclass

from tp_mcp.triage.failing_line import TERMINAL
from tp_mcp.triage.test_report import Outcome, Phase, ReportedTest, cut_id

_HEADING = re.compile(r"^=+ short test summary info =+$", re.MULTILINE)
_END = re.compile(r"^=+ .*\bin \d[\d.:]*s\b.* =+$", re.MULTILINE)
_LINE = re.compile(r"(FAILED|ERROR|PASSED|XFAIL|XPASS|RERUN) (\S.*)")
_OUTCOMES: dict[str, Outcome] = {
    "FAILED": "failed",
    "ERROR": "error",
    "PASSED": "passed",
    "XFAIL": "xfailed",
    "XPASS": "xpassed",
    "RERUN": "rerun",
}
# Marks a part of a log that was never seen, or not kept.
_MISSING = re.compile(r"\[\.\.\. .* \.\.\.\]")


@dataclass(frozen=True, slots=True)
class Summary:
    """Tests named at the end of a log.

    Attributes:
        tests: one row for each line, in order, with the line's message as log. The phase of an error is unknown: it is
            "setup", or "collect" if the id is a file's.
        complete: True if the summary is there from beginning to end without a gap.
    """

    tests: tuple[ReportedTest, ...]
    complete: bool


def read_summary(log: str) -> Summary:
    """Parse the short summary at the end of a log; its beginning or parts of it may be missing."""
    text = TERMINAL.sub("", log).replace("\r\n", "\n")
    headings = list(_HEADING.finditer(text))
    body = text[headings[-1].end() :] if headings else text
    end = _END.search(body)
    if not headings and end is None:
        # Without a beginning or an end, a line of this form may be a test's own output.
        return Summary((), complete=False)
    lines = body[: end.start() if end else None].split("\n")
    if not headings:
        lines = _last_run_of(lines)
    tests = tuple(_test(match) for line in lines if (match := _LINE.fullmatch(line.rstrip())))
    whole = bool(headings) and end is not None and not any(map(_is_missing, lines))
    return Summary(tests, complete=whole)


def _last_run_of(lines: list[str]) -> list[str]:
    """Return the lines at the end that look like a summary whose heading was cut off."""
    last = len(lines)
    while last > 0 and not lines[last - 1].strip():
        last -= 1
    first = last
    while first > 0 and (_LINE.fullmatch(lines[first - 1].rstrip()) or _is_missing(lines[first - 1])):
        first -= 1
    return lines[first:last]


def _is_missing(line: str) -> bool:
    return _MISSING.fullmatch(line.rstrip()) is not None


def _test(match: re.Match[str]) -> ReportedTest:
    outcome = _OUTCOMES[match[1]]
    test_id, message = _split(match[2])
    outside: Phase = "setup" if "::" in test_id else "collect"
    return ReportedTest(
        test_id=cut_id(test_id),
        outcome=outcome,
        phase=outside if outcome == "error" else "call",
        duration_seconds=None,
        markup=f"E   {message}" if message else "",
    )


def _split(text: str) -> tuple[str, str]:
    """Split a line into id and message; " - " may also occur in a parameter."""
    at = text.find(" - ")
    while at >= 0:
        test_id = text[:at]
        if "[" not in test_id or test_id.endswith("]"):
            return test_id, text[at + 3 :]
        at = text.find(" - ", at + 1)
    return text, ""
