"""Watches of upgrades and executions, and sequences of TP's answers taken in one after the other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from pydantic import JsonValue

from tests.watch.conftest import make_spec, make_watch, match_spec
from tp_mcp.api.models import UpgradeStatus
from tp_mcp.errors import TpError
from tp_mcp.jobs.pytest_run.execution_rule import EXECUTION_RULE, ExecutionBaseline
from tp_mcp.jobs.upgrade.upgrade_rule import UPGRADE_RULE, upgrade_baseline, upgrade_job
from tp_mcp.watch.lifecycle import state_machine
from tp_mcp.watch.model.spec import WatchSpec
from tp_mcp.watch.model.watch import Origin, Owner, Watch, WatchState
from tp_mcp.watch.polling.interpretation import Rule

NOW = 1_780_000_000.0
SERVER = "http://tp.example:8000"
OWNER = Owner("local:alice", "thread:1", exact=True)


def walk(watch: Watch, rule: Rule, answers: Sequence[Any], *, every: float = 15.0) -> list[Watch]:
    """Take answers in, one each interval; return the watch after each."""
    walked: list[Watch] = []
    for number, answer in enumerate(answers, start=1):
        now = watch.since + number * every
        if isinstance(answer, TpError):
            watch = state_machine.observe_failure(watch, answer, now=now).watch
        else:
            try:
                interpretation = rule.interpret(watch, answer)
            except TpError as error:
                watch = state_machine.observe_failure(watch, error, now=now).watch
            else:
                watch = state_machine.observe_answer(watch, interpretation, answer, now=now).watch
        walked.append(watch)
    return walked


@pytest.fixture
def follow() -> Callable[..., list[Watch]]:
    return walk


@pytest.fixture
def upgrade_watch() -> Callable[..., Watch]:
    """Make the watch of an accepted upgrade; `before` is what TP showed before it, None for somebody else's upgrade."""

    def make(
        before: Mapping[str, JsonValue] | None,
        *,
        arguments: Mapping[str, JsonValue] | None = None,
        answer: JsonValue = None,
        **changes: Any,
    ) -> Watch:
        asked: Mapping[str, JsonValue] = {"testbed": "AT16", "mode": "build", "build_number": "6957"}
        spec = WatchSpec(
            tool="get_upgrade",
            args={"testbed": "AT16"},
            rule=UPGRADE_RULE,
            interval_seconds=15.0,
            timeout_seconds=2700.0,
            max_polls=180,
            stalled_after_seconds=180.0,
        )
        watch = Watch(
            id="w_00000000",
            owner=OWNER,
            server=SERVER,
            origin=Origin("start_upgrade", dict(asked if arguments is None else arguments)),
            title="upgrade of AT16",
            job=upgrade_job("AT16"),
            kind=UPGRADE_RULE,
            testbed="AT16",
            spec=spec,
            state=WatchState.STARTING,
            created_at=NOW,
            baseline=None if before is None else upgrade_baseline(UpgradeStatus.model_validate(before)),
        )
        return replace(state_machine.accept(watch, answer=answer, now=NOW).watch, **changes)

    return make


@pytest.fixture
def run_watch() -> Callable[..., Watch]:
    """Make the watch of an accepted run."""

    def make(baseline: ExecutionBaseline | None = None, **changes: Any) -> Watch:
        spec = WatchSpec(
            tool="get_execution",
            args={"exec_id": 446},
            rule=EXECUTION_RULE,
            interval_seconds=15.0,
            timeout_seconds=22_500.0,
            max_polls=1500,
        )
        watch = Watch(
            id="w_00000000",
            owner=OWNER,
            server=SERVER,
            origin=Origin("run_pytest", {"lab": "AT16", "testcase": ["Tests_CLI"]}),
            title="run of Tests_CLI on AT16",
            job="execution:446",
            kind=EXECUTION_RULE,
            testbed="AT16",
            spec=spec,
            state=WatchState.STARTING,
            created_at=NOW,
            baseline=None if baseline is None else baseline.to_json(),
        )
        return replace(state_machine.accept(watch, answer={"exec_id": 446}, now=NOW).watch, **changes)

    return make


__all__ = ["make_spec", "make_watch", "match_spec"]
