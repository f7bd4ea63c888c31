import pytest

from tests.triage.rows import row
from tp_mcp.triage.past import PastExecution, Standing, fixed, of_tests, outcomes_by_test, past_of
from tp_mcp.triage.report_parser import Outcome

T = "t.py::test_it"


def past(*outcomes: Outcome | None) -> list[PastExecution]:
    """Return earlier executions, the latest first; None where the test did not run."""
    return [
        PastExecution(446 - number, f"69{60 - number}", {} if outcome is None else {T: outcome})
        for number, outcome in enumerate(outcomes, start=1)
    ]


@pytest.mark.parametrize(
    ("outcomes", "standing", "since"),
    [
        ((), Standing.FIRST_SEEN, None),
        ((None, "skipped"), Standing.FIRST_SEEN, None),
        (("passed", "passed"), Standing.NEW, 445),
        ((None, "passed"), Standing.NEW, 444),
        (("failed", "error", "passed"), Standing.KNOWN, 444),
        (("failed",), Standing.KNOWN, 445),
        (("failed", "failed"), Standing.KNOWN, 444),
        (("passed", "failed", "passed"), Standing.FLAKY, None),
        (("failed", "passed", "failed"), Standing.FLAKY, None),
    ],
)
def test_how_a_failing_test_stands(outcomes: tuple[Outcome | None, ...], standing: Standing, since: int | None) -> None:
    stands = past_of(T, past(*outcomes))
    assert stands.standing is standing
    assert (stands.since.exec_id if stands.since else None) == since


def test_a_record_is_counted() -> None:
    stands = past_of(T, past("passed", "failed", "passed", None, "error"))
    assert (stands.failed, stands.ran) == (2, 4)


def test_what_passes_and_failed_when_it_last_ran_is_fixed() -> None:
    assert fixed({T: "passed", "t.py::new": "passed"}, past("failed", "passed")) == (T,)
    assert fixed({T: "passed"}, past("passed", "failed")) == ()
    assert fixed({T: "failed"}, past("failed")) == ()


def test_several_tests_stand_by_standing() -> None:
    found = of_tests([T, "t.py::other"], past("passed"))
    assert {standing: len(pasts) for standing, pasts in found.items()} == {Standing.NEW: 1, Standing.FIRST_SEEN: 1}


def test_of_several_rows_of_a_test_the_worst_counts() -> None:
    assert outcomes_by_test([row(T, outcome="error"), row(T, outcome="passed")]) == {T: "error"}


def test_twenty_earlier_executions_are_looked_at_and_no_more() -> None:
    assert past_of(T, past(*[None] * 19, "passed")).standing is Standing.NEW
    assert past_of(T, past(*[None] * 20, "passed")).standing is Standing.FIRST_SEEN
    assert past_of(T, past(*("failed",) * 25)).ran == 20
