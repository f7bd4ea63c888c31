"""What `tp-mcp report` writes, apart from where it comes from."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tp_mcp.api.models import Execution
from tp_mcp.cli.report import JsonReport, _exit_code, as_json, as_junit, print_table
from tp_mcp.history.analysis import RunTests
from tp_mcp.redaction import Redactor
from tp_mcp.triage.test_report import ReportedTest

SCHEMA = Path(__file__).with_name("report.schema.json")
FAILED = ReportedTest(
    "a.py::t[x]", "failed", "call", 0.25, "E   assert 1 == 2\n\na.py:3: AssertionError\n\x1b[31mpassword=hunter2\x1b[0m"
)
PASSED = ReportedTest("a.py::u", "passed", "call", 1.5, "chatter")
SKIPPED = ReportedTest("a.py::v", "skipped", "setup", None, "('a.py', 1, 'Skipped: later')")
TOLD = RunTests((FAILED, PASSED, SKIPPED))


def clean(text: str) -> str:
    return Redactor().safe(text)


def execution(**fields: Any) -> Execution:
    row = {
        "exec_id": 7,
        "status": "Done",
        "lab": "AT16",
        "start_timestamp": "1780090011",
        "end_timestamp": "1780090041",
    }
    return Execution.model_validate({**row, **fields})


def test_the_shape_of_the_json_is_the_one_that_is_documented() -> None:
    schema = json.dumps(JsonReport.model_json_schema(mode="serialization"), indent=1) + "\n"
    assert schema == SCHEMA.read_text(encoding="utf-8"), (
        "a field went or changed: raise FORMAT, and write the file anew"
    )


def test_json_has_every_test_and_the_logs_of_what_did_not_pass() -> None:
    report = json.loads(as_json(7, execution(), TOLD, report_url="http://tp/r.html", clean=clean))
    assert report["format"] == 1
    assert report["execution"] == {
        "id": 7,
        "lab": "AT16",
        "status": "Done",
        "started_at": "2026-05-29T21:26:51Z",
        "ended_at": "2026-05-29T21:27:21Z",
        "report_url": "http://tp/r.html",
    }
    assert report["counts"] == {
        "failed": 1, "error": 0, "xpassed": 0, "passed": 1, "xfailed": 0, "skipped": 1, "rerun": 0,
    }  # fmt: skip
    failed, passed, skipped = report["tests"]
    assert (failed["message"], failed["location"]) == ("assert 1 == 2", "a.py:3: AssertionError")
    assert "hunter2" not in failed["log"]
    assert "\x1b" not in failed["log"]
    assert passed == {
        "id": "a.py::u", "outcome": "passed", "phase": "call", "duration_seconds": 1.5, "message": None,
        "location": None, "log": None,
    }  # fmt: skip
    assert (skipped["duration_seconds"], skipped["log"]) == (None, "('a.py', 1, 'Skipped: later')")


def test_what_comes_from_a_log_says_so_in_json_and_junit() -> None:
    told = RunTests((FAILED,), source="log", problem="TP has no report of it", complete=False)
    report = json.loads(as_json(7, execution(), told, report_url=None, clean=clean))
    assert (report["source"], report["problem"], report["complete"]) == ("log", "TP has no report of it", False)
    document = as_junit(7, execution(start_timestamp=None), told, report_url=None, clean=clean).decode()
    assert '<property name="source" value="log" />' in document
    assert '<property name="problem" value="TP has no report of it" />' in document
    assert "timestamp" not in document
    assert "hunter2" not in document


def test_in_a_pipe_a_row_is_a_line_of_fields_between_tabs() -> None:
    written = io.StringIO()
    print_table(TOLD, Console(file=written), clean=clean)
    assert written.getvalue().splitlines() == [
        "failed\tcall\t0.25\ta.py::t[x]\tassert 1 == 2 (a.py:3: AssertionError)",
        "passed\tcall\t1.5\ta.py::u\t",
        "skipped\tsetup\t\ta.py::v\t",
    ]


def test_on_a_terminal_it_is_a_table_and_no_text_of_a_test_is_markup() -> None:
    written = io.StringIO()
    odd = ReportedTest("a.py::t[/red][bold]", "failed", "call", 0.1)
    print_table(RunTests((odd,)), Console(file=written, force_terminal=True, width=100, color_system=None), clean=clean)
    assert "where it failed" in written.getvalue()
    assert "a.py::t[/red][bold]" in written.getvalue()


@pytest.mark.parametrize(
    ("fields", "told", "code"),
    [
        ({"pass_count": 1}, TOLD, 0),
        ({"pass_count": 1, "fail_count": 1}, TOLD, 1),
        ({"pass_count": 0, "skip_count": 1}, TOLD, 2),
        ({"status": "Failed"}, TOLD, 1),
        ({"status": "Cancelled", "fail_count": 1}, TOLD, 2),
        ({}, TOLD, 1),
        ({}, RunTests((PASSED,)), 0),
        ({}, RunTests((PASSED,), complete=False), 2),
        ({}, RunTests((PASSED,), source="log"), 2),
        ({}, RunTests((SKIPPED,)), 2),
        ({}, RunTests(()), 2),
    ],
)
def test_the_exit_code_tells_what_the_run_came_to(fields: dict[str, Any], told: RunTests, code: int) -> None:
    assert _exit_code(execution(**fields), told) == code
