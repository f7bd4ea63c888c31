"""What earlier executions of the same tests on the same lab say of a failure: new, known, flaky, fixed."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import TypeAlias

from tp_mcp.triage.report_parser import Outcome, ReportedTest

OutcomesByTest: TypeAlias = Mapping[str, Outcome]

FLAKY_MIN_CHANGES = 2
"""How often a test must have gone from passing to failing or back before it counts as flaky."""

EXECUTIONS_LOOKED_AT = 20
"""How many earlier executions are looked at."""

_BROKEN = frozenset({"failed", "error"})
_COUNTED = frozenset({"failed", "error", "passed"})


class Standing(StrEnum):
    """How a failing test stands against what it did before."""

    NEW = "new"
    KNOWN = "known"
    FLAKY = "flaky"
    FIRST_SEEN = "first seen"
    """It has no earlier result."""


@dataclass(frozen=True, slots=True)
class PastExecution:
    """What one execution came to.

    Attributes:
        exec_id: its number.
        build: the build under test; empty where it is not known.
        outcomes: by test.

    """

    exec_id: int
    build: str
    outcomes: OutcomesByTest = field(repr=False)


@dataclass(frozen=True, slots=True)
class TestPast:
    """How one failing test stands.

    Attributes:
        standing: in a word.
        since: for a new failure the last execution in which it passed, for a known one the first in which it failed.
        failed: in how many earlier executions it failed.
        ran: in how many it passed or failed.

    """

    __test__ = False

    standing: Standing
    since: PastExecution | None = None
    failed: int = 0
    ran: int = 0


def outcomes_by_test(tests: Sequence[ReportedTest]) -> dict[str, Outcome]:
    """Return the outcome of each test: of several rows, which stand together, the first and worst."""
    outcomes: dict[str, Outcome] = {}
    for test in tests:
        outcomes.setdefault(test.test_id, test.outcome)
    return outcomes


def past_of(test_id: str, earlier: Sequence[PastExecution]) -> TestPast:
    """Return how a test that fails now stands.

    Args:
        test_id: the test.
        earlier: earlier executions on the lab, the latest first.

    """
    record = list(_record(test_id, earlier))
    if not record:
        return TestPast(Standing.FIRST_SEEN)
    failed = sum(broken for _, broken in record)
    # Now it fails.
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
    """Return the tests that pass now and failed when they last ran."""
    passing = [test_id for test_id, outcome in outcomes.items() if outcome == "passed"]
    return tuple(
        test_id for test_id in passing if (latest := next(_record(test_id, earlier), None)) is not None and latest[1]
    )


def of_tests(test_ids: Collection[str], earlier: Sequence[PastExecution]) -> dict[Standing, list[TestPast]]:
    """Return how several tests stand, by standing."""
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
