"""What a run says that repeats tests of an earlier one."""

from tp_mcp.results.text import count_of, shorten
from tp_mcp.triage.past import OutcomesByTest, PastExecution

NAMED_MAX = 2
NAME_MAX_CHARACTERS = 90
_BROKEN = frozenset({"failed", "error"})


def rerun_words(of: PastExecution, outcomes: OutcomesByTest) -> str:
    """Return what changed for the tests that failed in an execution and were run again, in a sentence."""
    again = [test_id for test_id, outcome in of.outcomes.items() if outcome in _BROKEN and test_id in outcomes]
    if not again:
        return f"It repeats execution {of.exec_id}, but none of the tests that failed there ran."
    passing = [test_id for test_id in again if outcomes[test_id] == "passed"]
    failing = [test_id for test_id in again if outcomes[test_id] in _BROKEN]
    other = len(again) - len(passing) - len(failing)
    parts = [
        f"{len(passing)} pass now{_named(passing)}" if passing else "",
        f"{len(failing)} fail again{_named(failing)}" if failing else "",
        f"{other} neither passed nor failed" if other else "",
    ]
    told = ", ".join(part for part in parts if part)
    return f"Against execution {of.exec_id}: of {count_of(len(again), 'test')} that failed there, {told}."


def _named(test_ids: list[str]) -> str:
    if len(test_ids) > NAMED_MAX:
        return ""
    return f" ({', '.join(shorten(test_id, NAME_MAX_CHARACTERS) for test_id in test_ids)})"
