"""Comparison of failures with earlier executions on the same testbed: new, known, flaky or fixed."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import TypeAlias

from tp_mcp.triage.report_parser import Outcome, ReportedTest

OutcomesByTest: TypeAlias = Mapping[str, Outcome]

FLAKY_MIN_CHANGES = 2
"""Number of changes between passing and failing from which a test counts as flaky."""

EXECUTIONS_LOOKED_AT = 20
"""Number of earlier executions that are compared."""

_BROKEN = frozenset({"failed", "error"})
_COUNTED = frozenset({"failed", "error", "passed"})


class Standing(StrEnum):
    """Classification of a failing test by its earlier results."""

    NEW = "new"
    KNOWN = "known"
    FLAKY = "flaky"
    FIRST_SEEN = "first seen"
    """The test has no earlier result."""


@dataclass(frozen=True, slots=True)
class PastExecution:
    """An earlier execution.

    Attributes:
        exec_id: execution id.
        build: build under test; empty if unknown.
        outcomes: outcome of each test, by id.

    """

    exec_id: int
    build: str
    outcomes: OutcomesByTest = field(repr=False)


@dataclass(frozen=True, slots=True)
class TestPast:
    """Earlier results of a failing test.

    Attributes:
        standing: classification.
        since: for a new failure the latest execution in which it passed; for a known one the first in which it failed.
        failed: number of earlier executions in which it failed.
        ran: number of earlier executions in which it passed or failed.

    """

    __test__ = False

    standing: Standing
    since: PastExecution | None = None
    failed: int = 0
    ran: int = 0


def outcomes_by_test(tests: Sequence[ReportedTest]) -> dict[str, Outcome]:
    """Return the outcome of each test; the first row of a test is its worst."""
    outcomes: dict[str, Outcome] = {}
    for test in tests:
        outcomes.setdefault(test.test_id, test.outcome)
    return outcomes


def past_of(test_id: str, earlier: Sequence[PastExecution]) -> TestPast:
    """Classify a test that fails now.

    Args:
        test_id: id of the test.
        earlier: earlier executions on the testbed, the latest first.

    """
    record = list(_record(test_id, earlier))
    if not record:
        return TestPast(Standing.FIRST_SEEN)
    failed = sum(broken for _, broken in record)
    # The current result is a failure.
    states = [True, *(broken for _, broken in record)]
    changes = sum(before != after for before, after in pairwise(states))
    if changes >= FLAKY_MIN_CHANGES:
        return TestPast(Standing.FLAKY, None, failed, len(record))
    latest, broken = record[0]
    if not broken:
        return TestPast(Standing.NEW, latest, failed, len(record))
    first = next((record[index - 1][0] for index in range(1, len(record)) if not record[index][1]), record[-1][0])
    return TestPast(Standing.KNOWN, first, failed, len(record))


def fixed(outcomes: OutcomesByTest, earlier: Sequence[PastExecution]) -> tuple[str, ...]:
    """Return the tests that pass now and failed in their latest earlier result."""
    passing = [test_id for test_id, outcome in outcomes.items() if outcome == "passed"]
    return tuple(
        test_id for test_id in passing if (latest := next(_record(test_id, earlier), None)) is not None and latest[1]
    )


def of_tests(test_ids: Collection[str], earlier: Sequence[PastExecution]) -> dict[Standing, list[TestPast]]:
    """Return the earlier results of failing tests, by classification."""
    found: dict[Standing, list[TestPast]] = {}
    for test_id in test_ids:
        past = past_of(test_id, earlier)
        found.setdefault(past.standing, []).append(past)
    return found


def _record(test_id: str, earlier: Sequence[PastExecution]) -> Iterator[tuple[PastExecution, bool]]:
    for execution in earlier[:EXECUTIONS_LOOKED_AT]:
        outcome = execution.outcomes.get(test_id)
        if outcome in _COUNTED:
            yield execution, outcome in _BROKEN
