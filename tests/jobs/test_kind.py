"""How a job is watched, as the connector manifest says it."""

from collections.abc import Callable
from typing import Any

import pytest

from tp_mcp.connectors.loader import load_builtin_manifest
from tp_mcp.connectors.manifest import AsyncBlock
from tp_mcp.errors import ManifestError, WatchSpecError
from tp_mcp.jobs.kind import async_block, poll_args, spec_of
from tp_mcp.jobs.pytest_run.execution_rule import EXECUTION_RULE
from tp_mcp.jobs.pytest_run.execution_rule import POLL_TOOL as POLL_EXECUTION
from tp_mcp.jobs.upgrade.upgrade_rule import POLL_TOOL as POLL_UPGRADE
from tp_mcp.jobs.upgrade.upgrade_rule import UPGRADE_RULE
from tp_mcp.watch.model.spec import NOT_STARTED_AFTER_SECONDS, STALLED_AFTER_SECONDS, check_limits

MANIFEST = load_builtin_manifest().manifest


@pytest.fixture
def block() -> Callable[..., AsyncBlock]:
    def make(**fields: Any) -> AsyncBlock:
        least = {"poll": "get", "done_match": {"path": "s", "equals": 1}, "interval_sec": 5, "timeout_sec": 60}
        return AsyncBlock.model_validate({**least, **fields})

    return make


@pytest.mark.parametrize(
    ("tool", "poll", "rule"),
    [("start_upgrade", POLL_UPGRADE, UPGRADE_RULE), ("run_pytest", POLL_EXECUTION, EXECUTION_RULE)],
)
def test_the_own_connector_says_how_both_jobs_are_watched(tool: str, poll: str, rule: str) -> None:
    told = async_block(MANIFEST, tool)
    spec = spec_of(told, rule=rule)
    assert (spec.tool, spec.rule) == (poll, rule)
    assert (spec.interval_seconds, spec.timeout_seconds, spec.max_polls) == (
        told.interval_sec,
        told.timeout_sec,
        told.max_polls,
    )
    check_limits(interval_seconds=spec.interval_seconds, timeout_seconds=spec.timeout_seconds, max_polls=spec.max_polls)
    assert all((spec.on_done, spec.on_fail, spec.progress))


@pytest.mark.parametrize("tool", ["get_upgrade", "no_such_tool"])
def test_a_tool_without_an_async_block_cannot_be_watched(tool: str) -> None:
    with pytest.raises(ManifestError, match=f"no tool '{tool}' with an async block"):
        async_block(MANIFEST, tool)


def test_what_a_connector_leaves_out_has_a_default(block: Callable[..., AsyncBlock]) -> None:
    spec = spec_of(block(), rule="step")
    assert (spec.not_started_after_seconds, spec.stalled_after_seconds) == (
        NOT_STARTED_AFTER_SECONDS,
        STALLED_AFTER_SECONDS,
    )
    assert (spec.on_done, spec.on_fail, spec.progress, spec.max_polls) == ("", "", "", None)


def test_what_a_connector_says_counts(block: Callable[..., AsyncBlock]) -> None:
    chat = {"mode": "chat", "message": "done"}
    shown = spec_of(
        block(stalled_after_sec=7, not_started_after_sec=8, on_done=chat, progress={"message": "p"}), rule="step"
    )
    assert (shown.stalled_after_seconds, shown.not_started_after_seconds) == (7, 8)
    assert (shown.on_done, shown.progress) == ("done", "p")
    assert spec_of(block(progress={"show": False, "message": "p"}), rule="step").progress == ""


def test_what_to_poll_with_is_taken_from_the_call_and_its_answer() -> None:
    assert poll_args(async_block(MANIFEST, "start_upgrade"), args={"testbed": "AT16"}, result=None) == {
        "testbed": "AT16"
    }
    told = poll_args(async_block(MANIFEST, "run_pytest"), args={}, result={"exec_id": 446})
    assert told == {"exec_id": 446}


def test_an_answer_that_lacks_it_is_refused() -> None:
    with pytest.raises(WatchSpecError, match=r"result\.exec_id"):
        poll_args(async_block(MANIFEST, "run_pytest"), args={}, result={})


def test_arguments_to_poll_with_that_need_a_setting_are_refused_before_anything_is_started() -> None:
    start = MANIFEST.tools["run_pytest"]
    assert start.async_block is not None
    poll_args = {"exec_id": "{result.exec_id}", "user": "{settings.username}"}
    block = start.async_block.model_copy(update={"poll_args": poll_args})
    tools = {**MANIFEST.tools, "run_pytest": start.model_copy(update={"async_block": block})}
    with pytest.raises(ManifestError, match="takes settings for the poll_args of 'run_pytest'"):
        async_block(MANIFEST.model_copy(update={"tools": tools}), "run_pytest")
