"""Reports that real versions of pytest-html wrote, held against what pytest itself recorded of the same run."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tp_mcp.triage.report_parser import Report, parse_report

FIXTURES = Path(__file__).parent / "fixtures"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.html"))
Record = dict[str, Any]


def records(name: str) -> list[Record]:
    recorded: list[Record] = json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))
    return recorded


def rows(report: Report) -> Counter[tuple[str, str, str]]:
    return Counter((test.test_id, test.outcome, test.phase) for test in report.tests)


def outcome(record: Record) -> str:
    if record["outcome"] == "failed" and record["when"] != "call":
        return "error"
    if record["xfail"]:
        return "xfailed" if record["outcome"] == "skipped" else "xpassed"
    return str(record["outcome"])


def rows_of_4(name: str, recorded: list[Record]) -> Counter[tuple[str, str, str]]:
    """Generation 4 has a row for every part that ran, but for a setup or a teardown that passed."""
    kept = [record for record in recorded if record["when"] in {"call", "collect"} or record["outcome"] != "passed"]
    counted = Counter((record["id"], outcome(record), record["when"]) for record in kept)
    if name.startswith("4.0"):
        # It does not know of collection.
        return Counter({row: count for row, count in counted.items() if row[2] != "collect"})
    return counted


def rows_of_3(recorded: list[Record]) -> Counter[tuple[str, str, str]]:
    """Generation 3 has a row for a test, with the first thing that was not passed, and one for each time before it."""
    counted: Counter[tuple[str, str, str]] = Counter()
    ended: dict[str, Record] = {}
    xfail = {record["id"] for record in recorded if record["xfail"]}
    for record in recorded:
        if record["outcome"] == "rerun":
            counted[record["id"], "rerun", "call"] += 1
        elif ended.setdefault(record["id"], record)["outcome"] == "passed":
            ended[record["id"]] = record
    for test_id, record in ended.items():
        result = outcome({**record, "xfail": test_id in xfail})
        counted[test_id, result, record["when"] if result == "error" else "call"] += 1
    return counted


@pytest.mark.parametrize("name", NAMES)
def test_every_row_is_read_with_its_id_outcome_and_phase(name: str) -> None:
    report = parse_report((FIXTURES / f"{name}.html").read_bytes())
    recorded = records(name)
    assert report.left_out == 0
    assert rows(report) == (rows_of_3(recorded) if name.startswith("3") else rows_of_4(name, recorded))


@pytest.mark.parametrize("name", NAMES)
def test_every_log_begins_with_what_pytest_said_of_the_test(name: str) -> None:
    report = parse_report(FIXTURES / f"{name}.html")
    logs: dict[tuple[str, str], list[str]] = {}
    for test in report.tests:
        logs.setdefault((test.test_id, "rerun" if test.outcome == "rerun" else test.phase), []).append(test.log)
    checked = 0
    for record in records(name):
        if record["outcome"] in {"failed", "rerun"} and not (name.startswith("4.0") and record["when"] == "collect"):
            when = record["when"]
            if record["outcome"] == "rerun":
                when = "rerun"
            elif name.startswith("3") and (record["id"], when) not in logs:
                # A teardown that failed after its test: both are in the row of the test.
                when = "call"
            said = record["longrepr"].strip()
            assert any(said in log for log in logs[record["id"], when]), (record["id"], when)
            checked += 1
    assert checked > 10


@pytest.mark.parametrize("name", NAMES)
def test_what_a_test_wrote_comes_through_under_the_same_heading_in_both_generations(name: str) -> None:
    tests = {(test.test_id, test.outcome): test for test in parse_report(FIXTURES / f"{name}.html").tests}
    shown = tests["test_cli.py::TestShow::test_ok", "passed"].log
    assert re.search(r'^-{20,} Captured stdout call -{20,}\nhello <b>&amp; "x"</b> grün\n', shown, re.MULTILINE)
    deep = tests["test_cli.py::test_deep", "failed"].log
    assert re.search(r'^E +AssertionError: state & "more"$', deep, re.MULTILINE)
    assert re.search(r"^E +assert \{'port': 'down'\} == \{'port': 'up <1>'\}$", deep, re.MULTILINE)
    assert re.search(r"^-{20,} Captured log call -{20,}\nWARNING ", deep, re.MULTILINE)
    # What a test attached is no log; nor is what pytest-html writes where there is none.
    assert not re.search("fake|No log", tests["test_cli.py::test_xpass", "xpassed"].log)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_and_its_bytes_and_its_text_read_the_same(name: str) -> None:
    path = FIXTURES / f"{name}.html"

    def told(report: Report) -> list[tuple[str, ...]]:
        return [(test.test_id, test.outcome, test.phase, test.log) for test in report.tests]

    from_file = told(parse_report(path))
    assert from_file == told(parse_report(path.read_bytes()))
    assert from_file == told(parse_report(path.read_text(encoding="utf-8")))
