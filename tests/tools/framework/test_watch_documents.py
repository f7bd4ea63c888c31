from dataclasses import replace
from typing import Any

from tp_mcp.tools.framework import watch_documents
from tp_mcp.watch.model.reading import Reading, Verdict
from tp_mcp.watch.model.spec import WatchSpec
from tp_mcp.watch.model.watch import Origin, Owner, Watch, WatchState

ENDED = Watch(
    id="w_7k3m9q2d",
    owner=Owner("local:alice", "chat", exact=True),
    server="http://tp.example:8000",
    origin=Origin("start_upgrade", {"testbed": "AT16"}),
    title="upgrade of AT16 to build 6957",
    job="upgrade:AT16",
    kind="upgrade",
    testbed="AT16",
    spec=WatchSpec(tool="get_upgrade", args={}, rule="upgrade", interval_seconds=15, timeout_seconds=60),
    state=WatchState.DONE,
    created_at=1.0,
    started_at=1.0,
    ended_at=60.0,
    reading=Reading(Verdict.DONE, "SUCCESS"),
)


def ended(**changes: Any) -> Watch:
    return replace(ENDED, **changes)


def test_after_an_upgrade_tests_can_run() -> None:
    assert "run_pytest(" in watch_documents.next_step(ENDED)


def test_after_an_upgrade_that_is_only_probably_the_own_one_a_look_comes_first() -> None:
    doubtful = ended(reading=replace(Reading(Verdict.DONE, "SUCCESS"), probable=True))
    assert watch_documents.next_step(doubtful) == 'get_upgrade(testbed="AT16") shows its status on TP.'


def test_after_a_start_that_was_refused_there_is_nothing_to_look_at() -> None:
    assert watch_documents.next_step(ended(state=WatchState.FAILED, started_at=None, reading=None)) == ""
