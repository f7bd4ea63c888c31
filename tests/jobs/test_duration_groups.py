"""Which earlier jobs show how long a job takes."""

from tp_mcp.api.guard import intended_ids
from tp_mcp.api.requests import PytestRequest, UpgradeRequest
from tp_mcp.jobs.kinds import PYTEST_RUNS, UPGRADES
from tp_mcp.jobs.pytest_run.pytest_kind import RunRequest


def groups_of_run(*test_ids: str, argument: str = "", extra: str = "") -> tuple[str, ...]:
    sent = PytestRequest.checked(lab="AT16", testcase=list(test_ids), argument=argument, extra_pytest_options=extra)
    return PYTEST_RUNS.duration_groups(RunRequest(sent, intended_ids(list(test_ids))))


def test_upgrades_of_one_testbed_take_about_as_long() -> None:
    request = UpgradeRequest.checked(testbed="AT16", mode="build", build_number="6957")
    assert UPGRADES.duration_groups(request) == ("upgrade:AT16",)


def test_runs_are_compared_with_the_same_tests_and_options_first_and_with_any_on_the_lab_then() -> None:
    close, wide = groups_of_run("a.py", "b.py", argument="-x")
    assert wide == "run:AT16"
    assert close.startswith("run:AT16:")
    assert close == groups_of_run("/a.py", "b.py", argument="-x")[0]
    others = [groups_of_run("a.py", argument="-x"), groups_of_run("a.py", "b.py", extra="-x"), groups_of_run("a.py")]
    assert len({close, *(close for close, _ in others)}) == 4


def test_a_run_that_only_lists_tests_is_compared_with_none() -> None:
    assert groups_of_run("a.py", argument="--collect-only") == ()
