"""Comparison of failures with earlier executions on the same testbed: new, known, flaky or fixed."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import TypeAlias

from tp_mcp.triage.test_report import BROKEN, Outcome, ReportedTest

OutcomesByTest: TypeAlias = Mapping[str, Outcome]

FLAKY_MIN_CHANGES = 2
"""Number of changes between passing and failing from which a test counts as flaky."""

EXECUTIONS_LOOKED_AT = 20
"""Number of earlier executions that are compared."""

_COUNTED = BROKEN | {"passed"}


class Recurrence(StrEnum):
    """Classification of a failing test by its earlier results."""

    NEW = "new"
    KNOWN = "known"
    FLAKY = "flaky"
    FIRST_SEEN = "first seen"
    """The test has no earlier result."""


@dataclass(frozen=True, slots=True)
class EarlierExecution:
    """An earlier execution; its build is empty if unknown."""

    exec_id: int
    build: str
    outcomes: OutcomesByTest = field(repr=False)


@dataclass(frozen=True, slots=True)
class EarlierResults:
    """Earlier results of a failing test.

    Attributes:
        since: for a new failure the latest execution in which it passed; for a known one the first in which it failed.
        failed: number of earlier executions in which it failed.
        ran: number of earlier executions in which it passed or failed.
    """

    __test__ = False

    recurrence: Recurrence
    since: EarlierExecution | None = None
    failed: int = 0
    ran: int = 0


def outcomes_by_test(tests: Sequence[ReportedTest]) -> dict[str, Outcome]:
    """Return the outcome of each test; the first row of a test is its worst."""
    outcomes: dict[str, Outcome] = {}
    for test in tests:
        outcomes.setdefault(test.test_id, test.outcome)
    return outcomes


def earlier_results(test_id: str, earlier: Sequence[EarlierExecution]) -> EarlierResults:
    """Classify a test that fails now by earlier executions on its testbed, the latest first."""
    record = list(_record(test_id, earlier))
    if not record:
        return EarlierResults(Recurrence.FIRST_SEEN)
    failed = sum(broken for _, broken in record)
    # The current result is a failure.
    states = [True, *(broken for _, broken in record)]
    changes = sum(before != after for before, after in pairwise(states))
    if changes >= FLAKY_MIN_CHANGES:
        return EarlierResults(Recurrence.FLAKY, None, failed, len(record))
    latest, broken = record[0]
    if not broken:
        return EarlierResults(Recurrence.NEW, latest, failed, len(record))
    first = next((record[index - 1][0] for index in range(1, len(record)) if not record[index][1]), record[-1][0])
    return EarlierResults(Recurrence.KNOWN, first, failed, len(record))


def fixed(outcomes: OutcomesByTest, earlier: Sequence[EarlierExecution]) -> tuple[str, ...]:
    """Return the tests that pass now and failed in their latest earlier result."""
    passing = [test_id for test_id, outcome in outcomes.items() if outcome == "passed"]
    return tuple(
        test_id for test_id in passing if (latest := next(_record(test_id, earlier), None)) is not None and latest[1]
    )


def by_recurrence(
    test_ids: Collection[str], earlier: Sequence[EarlierExecution]
) -> dict[Recurrence, list[EarlierResults]]:
    """Return the earlier results of failing tests, by classification."""
    found: dict[Recurrence, list[EarlierResults]] = {}
    for test_id in test_ids:
        results = earlier_results(test_id, earlier)
        found.setdefault(results.recurrence, []).append(results)
    return found


def _record(test_id: str, earlier: Sequence[EarlierExecution]) -> Iterator[tuple[EarlierExecution, bool]]:
    for execution in earlier[:EXECUTIONS_LOOKED_AT]:
        outcome = execution.outcomes.get(test_id)
        if outcome in _COUNTED:
            yield execution, outcome in BROKEN
