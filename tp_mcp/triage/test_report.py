"""What a report says of tests: the model that everything reads, whichever generation wrote the file."""

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from tp_mcp.triage.markup import LogForm, Markup, log_text

TESTS_MAX = 200_000
"""Most rows that are read from a report; further ones are counted."""

TEST_ID_MAX_CHARACTERS = 2_000
"""Longest id of a test; of a longer one the end is left out, with a mark."""

FETCH_AGAIN = "Fetch the report again once the run has ended; the log of the run has the failures too."

Outcome: TypeAlias = Literal["passed", "failed", "error", "skipped", "xfailed", "xpassed", "rerun"]
Phase: TypeAlias = Literal["collect", "setup", "call", "teardown"]

# The worst first: a failure says more than the teardown error that may follow from it.
OUTCOMES: Final[tuple[Outcome, ...]] = ("failed", "error", "xpassed", "passed", "xfailed", "skipped", "rerun")
PHASES: Final[tuple[Phase, ...]] = ("collect", "setup", "call", "teardown")
BROKEN: Final[frozenset[Outcome]] = frozenset({"failed", "error"})

# pytest-retry calls what pytest-rerunfailures calls a rerun by a name of its own.
_OUTCOME_OF: dict[str, Outcome] = {outcome: outcome for outcome in OUTCOMES} | {"retried": "rerun"}
_PHASE_OF: dict[str, Phase] = {phase: phase for phase in PHASES}


@dataclass(frozen=True, slots=True)
class ReportedTest:
    """One row of a report.

    Attributes:
        test_id: pytest's node id, whole; characters beyond ASCII in parameters are escaped as pytest does it.
        outcome: how it ended; "error" outside the test itself, in collection, setup or teardown.
        phase: the part that the row is about.
        duration_seconds: how long it took, as exactly as the report says it; None where it says it in a form of its
            own.
        markup: traceback and captured output as the report holds them; read `log` instead.
        form: how that is written.

    """

    test_id: str
    outcome: Outcome
    phase: Phase
    duration_seconds: float | None
    # Decoded on demand: most tests pass, and nobody reads what a passing test wrote.
    markup: Markup = field(default="", repr=False)
    form: LogForm = field(default=LogForm.TEXT, repr=False)

    @property
    def log(self) -> str:
        """Return the traceback and the captured output as text; empty where there was none. Data from outside."""
        return log_text(self.markup, self.form)


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says.

    Attributes:
        tests: its rows in the report's order, those of one test together with the worst outcome first.
        left_out: number of rows that were not read, because there are too many or they have no known outcome.
        size_bytes: how much of the file is held for the sake of the logs, at most.

    """

    tests: tuple[ReportedTest, ...]
    left_out: int = 0
    size_bytes: int = 0

    @property
    def failures(self) -> tuple[ReportedTest, ...]:
        """Return the rows that failed or ended in an error, in order."""
        return tuple(test for test in self.tests if test.outcome in BROKEN)


def outcome_named(name: object) -> Outcome | None:
    """Return the outcome that a report names, in whatever case; None for any other name."""
    return _OUTCOME_OF.get(name.lower()) if isinstance(name, str) else None


def phase_of(row_id: str, test_id: str) -> Phase:
    """Return the part of a test that a row is about.

    The row's own id is the test's with the phase behind it. Where odd characters in it confused the report it may be
    cut; then it counts as the call.
    """
    if len(row_id) == len(test_id) or not row_id.startswith(test_id):
        return "call"
    return _PHASE_OF.get(row_id[len(test_id) :].removeprefix("::"), "call")


def worst_first(rows: list[ReportedTest]) -> Sequence[ReportedTest]:
    """Return the rows of one test, the one that says most first."""
    return sorted(rows, key=lambda row: OUTCOMES.index(row.outcome)) if len(rows) > 1 else rows


def id_from_html(escaped: str) -> str:
    """Return a test's id from its HTML; one that is far too long is cut as it stands, for decoding takes its time."""
    return html.unescape(escaped) if "&" in escaped and len(escaped) <= 10 * TEST_ID_MAX_CHARACTERS else escaped


def cut_id(test_id: str) -> str:
    """Return a test's id, with a mark where it is longer than any should be."""
    if len(test_id) <= TEST_ID_MAX_CHARACTERS:
        return test_id
    return f"{test_id[:TEST_ID_MAX_CHARACTERS]}[... {len(test_id) - TEST_ID_MAX_CHARACTERS:,} characters left out]"
