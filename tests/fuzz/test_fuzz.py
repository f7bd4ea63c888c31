"""The fuzz run in short, and that it would find what it looks for."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import JsonValue

from tests.fuzz import run as fuzz
from tests.support.world import collected_tree
from tp_mcp.jobs.pytest_run.pytest_kind import RunRequest
from tp_mcp.server.toolset import ALL_TOOLS
from tp_mcp.tools import labs, runs
from tp_mcp.tools.framework import arguments
from tp_mcp.tools.framework.definition import Call

pytestmark = pytest.mark.slow


TOLD = "told at the end"


@pytest.fixture(scope="module")
def tree() -> JsonValue:
    return collected_tree()


async def test_hostile_arguments_crash_nothing_send_nothing_refused_and_show_no_secret(
    tmp_path: Path, tree: JsonValue, record_property: Callable[[str, object], None]
) -> None:
    found = await fuzz.run(0, 700, tmp_path, tree=tree)
    assert found.wrong == []
    assert found.tools.keys() == {tool.name for tool in ALL_TOOLS}
    assert found.unsendable > 20
    assert found.sent > 5, "some of it has to get to TP"
    assert found.calls["answered"] > 50
    assert found.files > 5
    record_property(TOLD, f"fuzzed: {found.told()}")


async def test_a_secret_that_is_shown_logged_or_kept_is_found(
    tmp_path: Path, tree: JsonValue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arguments, "_given", lambda value: str(value)[-60:])
    wrong = "\n".join((await fuzz.run(0, 250, tmp_path, tree=tree)).wrong)
    assert "was answered with the secret" in wrong
    assert "the log has the secret" in wrong
    assert "watches.sqlite3 has the secret" in wrong


async def test_a_crash_and_a_value_that_gets_by_the_guard_are_found(
    tmp_path: Path, tree: JsonValue, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = runs._checked

    def unchecked(arguments: runs.RunPytestArguments, call: Call) -> RunRequest:
        return checked(arguments.model_copy(update={"argument": "", "extra_pytest_options": ""}), call)

    def broken(*_: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(runs, "_checked", unchecked)
    monkeypatch.setattr(labs, "_line", broken)
    wrong = "\n".join((await fuzz.run(0, 400, tmp_path, tree=tree)).wrong)
    assert "crashed" in wrong
    assert "was not refused" in wrong
    assert "got to TP" in wrong
