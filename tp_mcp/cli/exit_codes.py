"""What a script is told by the exit code of a command about a job."""

from tp_mcp.cli.script_terms import FAILED, PASSED, UNKNOWN
from tp_mcp.watch.readings import Outcome
from tp_mcp.watch.states import Watch, WatchState
from tp_mcp.watch.words import is_doubtful, never_started

_OF_OUTCOME = {None: PASSED, Outcome.PASSED: PASSED, Outcome.LISTING: PASSED, Outcome.FAILED: FAILED}


def exit_code_of(watch: Watch) -> int:
    """Return the exit code that tells how a watch ended."""
    if is_doubtful(watch) or never_started(watch):
        return UNKNOWN
    if watch.state is WatchState.DONE:
        return _OF_OUTCOME.get(watch.outcome, UNKNOWN)
    if watch.state is WatchState.FAILED and watch.outcome is not Outcome.CANCELLED:
        return FAILED
    return UNKNOWN
