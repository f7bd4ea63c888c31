"""The model of a report's tests, the same for all generations of pytest-html."""

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from tp_mcp.triage.markup import LogForm, Markup, log_text

TESTS_MAX = 200_000
"""Limit of the rows of a report; further ones are only counted."""

TEST_ID_MAX_CHARACTERS = 2_000
"""Limit of a test's id; a longer one is cut, with a mark."""

FETCH_AGAIN = "Fetch the report again after the run has ended; the log of the run also has the failures."

Outcome: TypeAlias = Literal["passed", "failed", "error", "skipped", "xfailed", "xpassed", "rerun"]
Phase: TypeAlias = Literal["collect", "setup", "call", "teardown"]

# The worst first: a failure is more informative than the teardown error that it may cause.
OUTCOMES: Final[tuple[Outcome, ...]] = ("failed", "error", "xpassed", "passed", "xfailed", "skipped", "rerun")
PHASES: Final[tuple[Phase, ...]] = ("collect", "setup", "call", "teardown")
BROKEN: Final[frozenset[Outcome]] = frozenset({"failed", "error"})

# pytest-retry's name for a rerun of pytest-rerunfailures.
_OUTCOME_OF: dict[str, Outcome] = {outcome: outcome for outcome in OUTCOMES} | {"retried": "rerun"}
_PHASE_OF: dict[str, Phase] = {phase: phase for phase in PHASES}


@dataclass(frozen=True, slots=True)
class ReportedTest:
    """One row of a report.

    Attributes:
        test_id: complete node id of pytest; characters beyond ASCII in parameters are escaped as pytest does it.
        outcome: outcome; "error" outside the test itself, in collection, setup or teardown.
        duration_seconds: duration, with the precision of the report; None if the report has an unknown format.
        markup: traceback and captured output as stored in the report; use `log` instead.
        form: encoding of `markup`.
    """

    test_id: str
    outcome: Outcome
    phase: Phase
    duration_seconds: float | None
    # Decoded on demand: most tests pass, and their logs are not needed.
    markup: Markup = field(default="", repr=False)
    form: LogForm = field(default=LogForm.TEXT, repr=False)

    @property
    def log(self) -> str:
        """Return traceback and captured output as text; empty without any. Data from outside."""
        return log_text(self.markup, self.form)


@dataclass(frozen=True, slots=True)
class Report:
    """A parsed report.

    Attributes:
        tests: rows in the order of the report; the rows of one test are adjacent, the worst outcome first.
        left_out: number of rows that were skipped: beyond the limit, or with an unknown outcome.
        size_bytes: upper bound of the part of the file that is kept in memory for the logs.
    """

    tests: tuple[ReportedTest, ...]
    left_out: int = 0
    size_bytes: int = 0

    @property
    def failures(self) -> tuple[ReportedTest, ...]:
        """Return the failed rows, including errors, in order."""
        return tuple(test for test in self.tests if test.outcome in BROKEN)


def outcome_named(name: str) -> Outcome | None:
    """Return the outcome with a name, in any case; None for another name."""
    return _OUTCOME_OF.get(name.lower())


def phase_of(row_id: str, test_id: str) -> Phase:
    """Return the phase of a row.

    A row's own id is the test's id followed by the phase. An id that unusual characters truncated counts as the call.
    """
    if len(row_id) == len(test_id) or not row_id.startswith(test_id):
        return "call"
    return _PHASE_OF.get(row_id[len(test_id) :].removeprefix("::"), "call")


def worst_first(rows: list[ReportedTest]) -> Sequence[ReportedTest]:
    """Return the rows of one test, the most informative first."""
    return sorted(rows, key=lambda row: OUTCOMES.index(row.outcome)) if len(rows) > 1 else rows


def id_from_html(escaped: str) -> str:
    """Decode a test's id from HTML; an id far beyond the limit is cut undecoded, because decoding is slow."""
    return html.unescape(escaped) if "&" in escaped and len(escaped) <= 10 * TEST_ID_MAX_CHARACTERS else escaped


def cut_id(test_id: str) -> str:
    """Cut an id beyond the limit, with a mark."""
    if len(test_id) <= TEST_ID_MAX_CHARACTERS:
        return test_id
    return f"{test_id[:TEST_ID_MAX_CHARACTERS]}[... {len(test_id) - TEST_ID_MAX_CHARACTERS:,} characters left out]"
