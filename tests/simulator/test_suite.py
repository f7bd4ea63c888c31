import html
import json
import re
from typing import Any

import pytest

pytestmark = pytest.mark.slow


CAUSE = "radiusd: server table not loaded"


def rows_of(report: str) -> dict[str, list[dict[str, Any]]]:
    """Read the rows of a pytest-html 4 report, by test id."""
    blob = re.search(r'data-jsonblob="([^"]*)"', report)
    assert blob
    tests: dict[str, list[dict[str, Any]]] = json.loads(html.unescape(blob[1]))["tests"]
    return tests


def counts(row: Any) -> list[int]:
    return [row[f"{name}_count"] for name in ("pass", "fail", "skip", "error", "total")]


def test_on_a_good_build_the_cli_tests_pass(good_run: Any) -> None:
    assert good_run.row["status"] == "Done"
    assert counts(good_run.row) == [46, 0, 2, 0, 50]
    outcomes = [rows[0]["result"] for rows in rows_of(good_run.report).values()]
    assert {outcome: outcomes.count(outcome) for outcome in outcomes} == {"Passed": 46, "Skipped": 2, "XFailed": 2}


def test_on_the_bad_build_tests_fail_for_a_reason_that_is_found_in_their_output(bad_run: Any) -> None:
    assert counts(bad_run.row) == [37, 9, 2, 0, 50]
    failed = {name: rows[0] for name, rows in rows_of(bad_run.report).items() if rows[0]["result"] == "Failed"}
    assert len(failed) == 9
    of_one_cause = {name for name, row in failed.items() if CAUSE in row["log"]}
    assert failed.keys() - of_one_cause == {"Tests_CLI/test_poe.py::TestPoe::test_budget"}


def test_a_traceback_leads_through_the_helper_modules(bad_run: Any) -> None:
    log = rows_of(bad_run.report)[
        "Tests_CLI/security/test_radius.py::TestServerTable::test_server_is_listed[corp-radius-1]"
    ]
    for place in ("test_radius.py:", "fswlib/checks.py:", "fswlib/cli.py:", "Captured log call"):
        assert place in log[0]["log"]


def test_counts_and_log_grow_while_the_tests_run(good_run: Any) -> None:
    statuses = [row["status"] for row in good_run.mid_run]
    assert statuses == sorted(statuses)  # Initiating, then Running
    sizes = [row["log_size"] for row in good_run.mid_run]
    assert sizes == sorted(sizes)
    passed = [row["pass_count"] for row in good_run.mid_run if row.get("pass_count") is not None]
    assert len(set(passed)) >= 3
    assert passed == sorted(passed)
    assert {row["total_count"] for row in good_run.mid_run if row.get("total_count") is not None} == {50}


def test_the_log_tail_is_the_last_four_kilobytes(bad_run: Any) -> None:
    assert bad_run.row["log_size"] > 4096
    assert len(bad_run.row["log_tail"].encode()) == 4096
    assert "9 failed, 37 passed" in bad_run.row["log_tail"]


def test_nothing_but_pytest_ran(good_run: Any, bad_run: Any) -> None:
    assert {seen.kind for seen in [*good_run.processes, *bad_run.processes]} == {"pytest"}
