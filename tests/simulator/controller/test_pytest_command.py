import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tp_mcp.simulator.controller.pytest_command import CountsPlugin, main


def report(when: str, outcome: str, **more: Any) -> Any:
    return SimpleNamespace(when=when, outcome=outcome, failed=outcome == "failed", skipped=outcome == "skipped", **more)


def session(*, collect_only: bool) -> Any:
    return SimpleNamespace(items=[1, 2, 3], config=SimpleNamespace(option=SimpleNamespace(collectonly=collect_only)))


def test_counts_are_written_after_every_test(tmp_path: Path) -> None:
    plugin = CountsPlugin(str(tmp_path / "counts"))
    plugin.pytest_collection_finish(session(collect_only=False))
    tests = [
        [report("setup", "passed"), report("call", "passed"), report("teardown", "failed")],
        [report("setup", "passed"), report("call", "failed"), report("teardown", "passed")],
        [report("setup", "skipped"), report("teardown", "passed")],
        [report("setup", "failed"), report("teardown", "passed")],
        [report("setup", "skipped", wasxfail="not run"), report("teardown", "passed")],
        [report("setup", "passed"), report("call", "skipped", wasxfail="bug"), report("teardown", "passed")],
    ]
    for reports in tests:
        for one in reports:
            plugin.pytest_runtest_logreport(one)
    counts = json.loads((tmp_path / "counts").read_text())
    assert counts == {"passed": 1, "failed": 1, "skipped": 1, "errors": 2, "total": 3}


def test_a_dry_run_counts_nothing(tmp_path: Path) -> None:
    CountsPlugin(str(tmp_path / "counts")).pytest_collection_finish(session(collect_only=True))
    assert not (tmp_path / "counts").exists()


def test_a_call_is_noted_before_pytest_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[list[str]] = []

    def instead_of_pytest(arguments: list[str], plugins: list[object]) -> int:
        handed.append(arguments)
        return 5

    monkeypatch.setattr(pytest, "main", instead_of_pytest)
    monkeypatch.setenv("TP_CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("TP_COUNTS", str(tmp_path / "counts"))
    monkeypatch.setenv("TP_TESTS_ROOT", "/tests")
    monkeypatch.setenv("TP_LOG", os.devnull)
    assert main(["-k", "two words"]) == 5
    call = json.loads((tmp_path / "calls").read_text())
    assert call["argv"] == ["-k", "two words"]
    assert handed[0][-2:] == ["-k", "two words"]
    assert handed[0][:3] == ["-c", "/tests/pytest.ini", "--rootdir=/tests"]
