from tests.triage.rows import failing, row
from tp_mcp.triage.clusters import Cluster, clusters_of
from tp_mcp.triage.report_parser import ReportedTest
from tp_mcp.triage.rules import Kind

LOST = "radiusd: server table not loaded: schema {} expected"


def ids(clusters: tuple[Cluster, ...]) -> list[list[str]]:
    return [sorted(test_id.split("::")[1] for test_id in cluster.test_ids) for cluster in clusters]


def together(*tests: ReportedTest) -> list[list[str]]:
    return ids(clusters_of(tests))


def test_a_run_in_which_nothing_failed_has_no_clusters() -> None:
    assert clusters_of([row("t.py::a", outcome="passed")]) == ()


def test_the_same_words_but_for_numbers_are_one_reason_wherever_they_come_from() -> None:
    assert together(
        failing("t.py::a", "CliError: device lost after 17 s", frame="lib/a.py"),
        failing("t.py::b", "CliError: device lost after 4 s", frame="lib/b.py"),
        failing("t.py::c", "CliError: prompt never seen again"),
    ) == [["a", "b"], ["c"]]


def test_words_that_tell_nothing_need_the_same_place() -> None:
    assert together(
        failing("t.py::a", "AssertionError: assert 1 == 2", frame="lib/a.py"),
        failing("t.py::b", "AssertionError: assert 7 == 9", frame="lib/a.py"),
        failing("t.py::c", "AssertionError: assert 3 == 4", frame="lib/b.py"),
        failing("t.py::d", "AssertionError: assert 3 == 4", frame="lib/b.py", phase="setup"),
    ) == [["a", "b"], ["c"], ["d"]]


def test_a_missing_name_is_the_same_wherever_it_is_missing() -> None:
    assert together(
        failing("t.py::a", "KeyError: 'name'"),
        failing("u.py::b", "KeyError: 'name'"),
        failing("u.py::c", "KeyError: 'x'"),
    ) == [["a", "b"], ["c"]]


def test_one_test_with_other_parameters_fails_for_one_reason_whatever_it_quotes() -> None:
    assert together(
        failing("t.py::a[1]", "AssertionError: 'aa' is not it"), failing("t.py::a[2]", "AssertionError: 'bb' is not it")
    ) == [["a[1]", "a[2]"]]


def test_the_reason_behind_a_colon_joins_whatever_was_asked_for_before_it() -> None:
    assert together(
        failing("t.py::a", "CliError: 'show vlan 1' failed on 10.0.0.1 after 2.5 s: certificate has expired"),
        failing("u.py::b", "CliError: 'show poe' failed on 10.0.0.2 after 7.0 s: certificate has expired"),
        failing("u.py::c", "OSError: 'show acl' failed on 10.0.0.2 after 7.0 s: certificate has expired"),
        failing("v.py::d", "CliError: 'show stp' failed on 10.0.0.1 after 2.5 s: vlan 4094 is reserved"),
    ) == [["a", "b"], ["c"], ["d"]]


def test_a_colon_that_leads_to_no_reason_of_its_own_joins_nothing() -> None:
    for why in ("error", "'poe' is reserved there", "exit status 1"):
        alone = [failing(f"{name}.py::{name}", f"CliError: 'show {name}' failed: {why}") for name in "ab"]
        assert together(*alone) == [["a"], ["b"]]
    said = [failing(f"{name}.py::{name}", f"CliError: 'show {name}' gave: interface up") for name in "ab"]
    assert together(*said) == [["a"], ["b"]]


def test_what_two_messages_quote_of_the_same_trouble_joins_them() -> None:
    assert together(
        failing("t.py::a", f"CliError: 'show x' gave:\n{LOST.format(1)}"),
        failing("t.py::b", f"AssertionError: assert 'ok' in '{LOST.format(2)}\\nreturn code -1'"),
        failing("t.py::c", f"AssertionError: no server today: {LOST.format(3)}"),
        failing("t.py::d", "AssertionError: assert 'ok' in 'return code -1'"),
    ) == [["a", "b", "c"], ["d"]]


def test_what_passing_tests_write_as_well_is_no_trouble() -> None:
    usual = "probe of the spare unit failed once more"
    failures = (
        failing("t.py::a", f"AError: first thing is odd\n{usual}"),
        failing("t.py::b", f"BError: second thing is odd\n{usual}"),
    )
    assert together(*failures) == [["a", "b"]]
    passing = [row(f"t.py::p{number}", f"INFO     x:y.py:3 {usual}", outcome="passed") for number in range(3)]
    assert together(*failures, *passing) == [["a"], ["b"]]


def test_a_rule_that_knows_one_reason_joins_what_reads_differently() -> None:
    assert together(
        failing("t.py::a", "gaierror: Name or service not known"),
        failing("t.py::b", "HTTPError: could not resolve log.example"),
    ) == [["a", "b"]]


def test_a_silent_failure_belongs_to_the_one_trouble_that_it_wrote() -> None:
    spoken = failing("t.py::a", f"CliError: {LOST.format(1)}")
    other = failing("t.py::o", "CliError: fan tray is missing from slot")
    wrote = failing("t.py::b", "AssertionError: assert 0", captured=f"21:00:01 {LOST.format(9)}")
    both = failing(
        "u.py::c", "AssertionError: assert None", captured=f"{LOST.format(9)}\nCliError: fan tray is missing from slot"
    )
    assert together(spoken, other, wrote, both) == [["a", "b"], ["o"], ["c"]]


def test_silent_failures_that_wrote_the_same_last_trouble_belong_together() -> None:
    assert together(
        failing("t.py::a", "AssertionError: assert 0", captured="fan tray 1 is missing from slot"),
        failing("u.py::b", "AssertionError: assert False", captured="fan tray 7 is missing from slot"),
        failing("v.py::c", "AssertionError: assert []", captured="nothing to see"),
    ) == [["a", "b"], ["c"]]


def test_what_is_said_about_every_failing_test_joins_nothing() -> None:
    line = "saving diagnostic screenshot of failed test case"
    assert together(
        failing("t.py::a", "AssertionError: assert 0", captured=line),
        failing("u.py::b", "AssertionError: assert 1", captured=line),
    ) == [["a"], ["b"]]


def test_a_cluster_tells_its_line_its_kind_and_what_decided() -> None:
    [cluster] = clusters_of(
        [
            failing("t.py::a", "TimeoutError: x"),
            failing("t.py::a", "TimeoutError: y", phase="teardown"),
        ][:1]
    )
    assert (cluster.decision.kind, cluster.decision.rule) == (Kind.ENVIRONMENT, "timeout")
    assert (cluster.telling_line, cluster.id) == ("TimeoutError: x", cluster.signatures[0].id)
    [cluster] = clusters_of([failing("t.py::a", f"CliError: 'show' gave:\n{LOST.format(1)}")])
    assert cluster.telling_line == LOST.format(1)
    [cluster] = clusters_of([row("t.py::a", "")])
    assert (cluster.telling_line, cluster.decision.kind) == ("no message", Kind.UNKNOWN)


def test_two_rows_of_one_test_are_one_test_of_a_cluster() -> None:
    [cluster] = clusters_of(
        [
            failing("t.py::a", "CliError: device lost for good"),
            failing("t.py::a", "CliError: device lost for good", phase="teardown"),
        ]
    )
    assert (cluster.test_ids, len(cluster.failures), len(cluster.signatures)) == (("t.py::a",), 2, 2)


def test_the_largest_cluster_comes_first() -> None:
    tests = [
        failing("t.py::a", "AError: one odd thing"),
        *(failing(f"t.py::b{n}", "BError: another odd thing") for n in (1, 2)),
    ]
    assert [len(cluster.failures) for cluster in clusters_of(tests)] == [2, 1]


def test_only_what_follows_the_first_colons_of_a_line_is_looked_at() -> None:
    far = f"AssertionError: a: b: c: d: e: {LOST.format(3)}"
    assert together(failing("t.py::a", f"CliError: {LOST.format(1)}"), failing("t.py::b", far)) == [["a"], ["b"]]


def test_without_a_line_of_trouble_the_first_line_tells() -> None:
    [cluster] = clusters_of([failing("t.py::a", "OddThing: hm\nit said ''")])
    assert cluster.telling_line == "OddThing: hm"


def test_the_line_that_says_most_is_found_among_others() -> None:
    (cluster,) = clusters_of(
        [
            failing("t.py::a", f"CliError: 'show x' gave:\nnothing of note\n{LOST.format(1)}"),
            failing("t.py::b", f"CliError: 'show y' gave:\nall is quiet\n{LOST.format(2)}"),
        ]
    )
    assert cluster.telling_line == LOST.format(1)
