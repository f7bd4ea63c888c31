from tests.triage.rows import failing, row
from tp_mcp.triage.clusters import clusters_of
from tp_mcp.triage.recurrence import EarlierExecution, outcomes_by_test
from tp_mcp.triage.report_parser import Outcome, ReportedTest
from tp_mcp.triage.verdict import BRIEF_MAX_CHARACTERS, Triage, brief, recurrence_words, verdict


def triage(*tests: ReportedTest, earlier: tuple[EarlierExecution, ...] = (), build: str = "6957") -> Triage:
    return Triage(446, build, outcomes_by_test(tests), clusters_of(tests), earlier)


def passing(count: int) -> list[ReportedTest]:
    return [row(f"t.py::p{number}", outcome="passed") for number in range(count)]


def before(exec_id: int, build: str, **outcomes: Outcome) -> EarlierExecution:
    return EarlierExecution(exec_id, build, {f"t.py::{name}": outcome for name, outcome in outcomes.items()})


GONE = [
    failing(f"t.py::f{number}", "ConsoleClosed: the appliance closed the console: is rebooting") for number in range(8)
]


def test_nothing_failed_and_nothing_ran_are_two_things() -> None:
    assert verdict(triage(*passing(2))) == "Nothing failed."
    assert verdict(triage()) == "No test ran, so nothing was shown to pass."
    assert brief(triage(*passing(2))) == ""


def test_one_reason_is_said_with_its_kind() -> None:
    assert verdict(triage(failing("t.py::a", "AssertionError: budget is wrong by far"), *passing(9))) == (
        "1 test of 10 failed for one reason: AssertionError: budget is wrong by far (product)."
    )


def test_several_reasons_begin_with_the_largest() -> None:
    run = triage(
        failing("t.py::a", "AssertionError: budget is wrong by far"),
        failing("t.py::b", "AssertionError: budget is wrong by far"),
        failing("t.py::c", "Odd: whatever it may be"),
        *passing(17),
        earlier=(before(445, "6955", a="passed", b="passed", c="failed"),),
    )
    assert verdict(run) == (
        "3 of 20 tests failed for 2 reasons; the first, with 2 tests: AssertionError: budget is wrong by far (product; "
        "new since execution 445 (build 6955 to 6957))."
    )
    assert brief(run) == (
        "Triage: 3 failed tests, 2 reasons: 2 x AssertionError: budget is wrong by far (product, new since execution "
        "445 (build 6955 to 6957)); 1 x Odd: whatever it may be (unknown, failing since execution 445 (build 6955))."
    )


def test_a_run_most_of_which_failed_for_one_reason_is_a_finding_about_the_infrastructure() -> None:
    run = triage(*GONE, *passing(2))
    assert verdict(run) == (
        "8 of 10 tests failed for one reason, so this is a finding about their shared environment (infrastructure), "
        "not 8 failures of the build: ConsoleClosed: the appliance closed the console: is rebooting. This run shows "
        "little else."
    )
    assert brief(run).startswith("Triage: 8 of 10 tests failed for one reason (infrastructure): 8 x ConsoleClosed")
    shared = triage(*(failing(f"t.py::f{number}", "AssertionError: banner is not shown") for number in range(6)))
    assert "their shared environment (a shared part)" in verdict(shared)


def test_a_handful_of_tests_tells_nothing_of_the_infrastructure() -> None:
    assert triage(*GONE[:3]).shared is None


def test_a_brief_keeps_its_limit_and_counts_what_it_leaves_out() -> None:
    tests = [
        failing(f"t.py::f{number}", f"E{'abcdef'[number]}rr: {'word ' * 100}{'abcdef'[number] * 5}")
        for number in range(6)
    ]
    told = brief(triage(*tests, *passing(20)))
    assert len(told) <= BRIEF_MAX_CHARACTERS
    assert told.endswith("; and 3 more.")


def test_standings_that_differ_are_counted() -> None:
    earlier = (
        before(445, "6957", a="passed", b="failed", c="passed"),
        before(444, "", a="passed", b="passed", c="failed"),
        before(443, "6955", c="passed"),
    )
    words = recurrence_words(["t.py::a", "t.py::b", "t.py::c", "t.py::d"], earlier, "6957")
    assert words == (
        "1 new since execution 445 (the same build 6957), 1 failing since execution 445 (build 6957), 1 flaky: "
        "failed 1 of 3 times before, 1 never run here before"
    )
    assert recurrence_words(["t.py::a"], earlier[1:], "6957") == "new since execution 444"
    assert recurrence_words(["t.py::b"], (before(445, "", b="failed"),), "6957") == "failing since execution 445"
