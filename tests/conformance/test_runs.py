"""What counts as a failure of the conformance suite."""

import pytest

from tests.conformance import suite
from tests.conformance.__main__ import Run
from tests.conformance.suite import Outcome

SUMMARY = """
=== SUMMARY ===
✓ ping: 2 passed, 0 failed
✗ tools-list: 1 passed, 1 failed, 2 warnings
✓ tasks-status-notifications: 0 passed, 0 failed
"""
LISTED = "Required\n\nServer scenarios (test):\n  - ping\n  - tools-list\n\nClient scenarios (test):\n  - initialize\n"


def test_a_failed_and_a_missing_scenario_are_told_apart_and_what_is_not_expected_does_not_count() -> None:
    outcomes = {"ping": Outcome(2, 0), "tools-list": Outcome(1, 1), "other": Outcome(0, 3)}
    run = Run("server", "2025-11-25", frozenset({"ping", "tools-list", "caching"}), outcomes)
    assert run.failed == ["tools-list"]
    assert run.missing == ["caching"]


def test_the_suites_summary_and_list_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(suite, "_said", lambda *_, **__: SUMMARY)
    outcomes = suite.run("node", "http://127.0.0.1/mcp", "2025-11-25", suite.HERE)
    assert outcomes == {
        "ping": Outcome(2, 0),
        "tools-list": Outcome(1, 1),
        "tasks-status-notifications": Outcome(0, 0),
    }
    monkeypatch.setattr(suite, "_said", lambda *_, **__: LISTED)
    assert suite.required("node", "2025-11-25") == ["ping", "tools-list"]


def test_a_suite_that_says_nothing_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "_said", lambda *_, **__: "connection refused")
    with pytest.raises(RuntimeError, match="connection refused"):
        suite.run("node", "http://127.0.0.1/mcp", "2025-11-25", suite.HERE)
    with pytest.raises(RuntimeError):
        suite.required("node", "2025-11-25")
    with pytest.raises(RuntimeError):
        suite.of_extension("node", "tasks-")
