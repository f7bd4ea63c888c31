import pytest

from tests.triage.rows import row
from tp_mcp.triage.recurrence import (
    EarlierExecution,
    Recurrence,
    by_recurrence,
    earlier_results,
    fixed,
    outcomes_by_test,
)
from tp_mcp.triage.report_parser import Outcome

T = "t.py::test_it"


def past(*outcomes: Outcome | None) -> list[EarlierExecution]:
    """Return earlier executions, the latest first; None where the test did not run."""
    return [
        EarlierExecution(446 - number, f"69{60 - number}", {} if outcome is None else {T: outcome})
        for number, outcome in enumerate(outcomes, start=1)
    ]


@pytest.mark.parametrize(
    ("outcomes", "recurrence", "since"),
    [
        ((), Recurrence.FIRST_SEEN, None),
        ((None, "skipped"), Recurrence.FIRST_SEEN, None),
        (("passed", "passed"), Recurrence.NEW, 445),
        ((None, "passed"), Recurrence.NEW, 444),
        (("failed", "error", "passed"), Recurrence.KNOWN, 444),
        (("failed",), Recurrence.KNOWN, 445),
        (("failed", "failed"), Recurrence.KNOWN, 444),
        (("passed", "failed", "passed"), Recurrence.FLAKY, None),
        (("failed", "passed", "failed"), Recurrence.FLAKY, None),
    ],
)
def test_a_failing_test_is_classified_by_its_earlier_results(
    outcomes: tuple[Outcome | None, ...], recurrence: Recurrence, since: int | None
) -> None:
    results = earlier_results(T, past(*outcomes))
    assert results.recurrence is recurrence
    assert (results.since.exec_id if results.since else None) == since


def test_a_record_is_counted() -> None:
    results = earlier_results(T, past("passed", "failed", "passed", None, "error"))
    assert (results.failed, results.ran) == (2, 4)


def test_what_passes_and_failed_when_it_last_ran_is_fixed() -> None:
    assert fixed({T: "passed", "t.py::new": "passed"}, past("failed", "passed")) == (T,)
    assert fixed({T: "passed"}, past("passed", "failed")) == ()
    assert fixed({T: "failed"}, past("failed")) == ()


def test_several_tests_are_grouped_by_recurrence() -> None:
    found = by_recurrence([T, "t.py::other"], past("passed"))
    assert {recurrence: len(pasts) for recurrence, pasts in found.items()} == {
        Recurrence.NEW: 1,
        Recurrence.FIRST_SEEN: 1,
    }


def test_of_several_rows_of_a_test_the_worst_counts() -> None:
    assert outcomes_by_test([row(T, outcome="error"), row(T, outcome="passed")]) == {T: "error"}


def test_twenty_earlier_executions_are_looked_at_and_no_more() -> None:
    assert earlier_results(T, past(*[None] * 19, "passed")).recurrence is Recurrence.NEW
    assert earlier_results(T, past(*[None] * 20, "passed")).recurrence is Recurrence.FIRST_SEEN
    assert earlier_results(T, past(*("failed",) * 25)).ran == 20
