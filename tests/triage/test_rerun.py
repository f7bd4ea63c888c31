from tp_mcp.triage.recurrence import EarlierExecution
from tp_mcp.triage.report_parser import Outcome
from tp_mcp.triage.verdict import rerun_words


def before(**outcomes: Outcome) -> EarlierExecution:
    return EarlierExecution(446, "", dict(outcomes))


def test_what_changed_is_said_with_names_where_they_are_few() -> None:
    of = before(a="failed", b="error", c="passed", d="failed", e="failed", f="failed", g="failed")
    now: dict[str, Outcome] = {
        "a": "passed",
        "b": "failed",
        "c": "failed",
        "d": "skipped",
        "e": "passed",
        "f": "passed",
    }
    assert rerun_words(of, now) == (
        "Against execution 446: of 5 tests that failed there, 3 pass now, 1 fail again (b), "
        "1 neither passed nor failed."
    )


def test_a_rerun_in_which_none_of_them_ran_says_so() -> None:
    assert rerun_words(before(a="failed"), {"b": "passed"}) == (
        "It repeats execution 446, but none of the tests that failed there ran."
    )
