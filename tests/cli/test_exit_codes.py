import pytest

from tp_mcp.cli.jobs import exit_code_of
from tp_mcp.cli.script_terms import FAILED, PASSED, UNKNOWN
from tp_mcp.watch.model.reading import Outcome, Reading, Verdict
from tp_mcp.watch.model.spec import WatchSpec
from tp_mcp.watch.model.watch import Origin, Owner, Watch, WatchState

SPEC = WatchSpec(tool="get_execution", args={}, rule="execution", interval_seconds=30, timeout_seconds=60)


def ended(state: WatchState, outcome: Outcome | None = None, *, started: bool = True, probable: bool = False) -> Watch:
    return Watch(
        id="w_00000000",
        owner=Owner("local:alice", "one", exact=True),
        server="http://tp",
        origin=Origin("run_pytest", {}),
        title="run",
        job="execution:1",
        spec=SPEC,
        state=state,
        created_at=0.0,
        started_at=1.0 if started else None,
        outcome=outcome,
        reading=Reading(Verdict.DONE, "Done", probable=probable),
    )


@pytest.mark.parametrize(
    ("watch", "code"),
    [
        (ended(WatchState.DONE), PASSED),
        (ended(WatchState.DONE, Outcome.PASSED), PASSED),
        (ended(WatchState.DONE, Outcome.LISTING), PASSED),
        (ended(WatchState.DONE, Outcome.FAILED), FAILED),
        (ended(WatchState.DONE, Outcome.NO_TEST_RAN), UNKNOWN),
        (ended(WatchState.DONE, Outcome.UNKNOWN), UNKNOWN),
        (ended(WatchState.DONE, Outcome.PASSED, probable=True), UNKNOWN),
        (ended(WatchState.FAILED), FAILED),
        (ended(WatchState.FAILED, Outcome.CANCELLED), UNKNOWN),
        (ended(WatchState.FAILED, started=False), UNKNOWN),
        (ended(WatchState.TIMED_OUT), UNKNOWN),
        (ended(WatchState.LOST), UNKNOWN),
        (ended(WatchState.CANCELLED), UNKNOWN),
    ],
)
def test_zero_is_passed_one_is_failed_and_everything_else_could_not_be_said(watch: Watch, code: int) -> None:
    assert exit_code_of(watch) == code
