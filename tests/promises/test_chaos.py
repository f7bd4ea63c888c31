"""Promises 1 to 4 under everything at once: a short run of `make chaos`, and that its checker can fail."""

import copy
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.chaos.check import Evidence, Findings, check, read_store
from tests.chaos.run import Plan, run
from tests.promises.conftest import TOLD
from tp_mcp.storage.opening import STORE_FILE
from tp_mcp.watch.model.chain import Chain, Link

pytestmark = pytest.mark.slow

SHORT = Plan(
    seed=11, watches=24, storm_seconds=4.0, trouble_seconds=0.35, calm_seconds=120.0, conversations=6, speed=60.0
)


@dataclass(frozen=True)
class Aftermath:
    """What a run left behind."""

    state_dir: Path
    evidence: Evidence

    def doctored(self, sql: str, *values: object) -> Findings:
        """Check again, after a change to the store."""
        with closing(sqlite3.connect(self.state_dir / STORE_FILE, isolation_level=None)) as db:
            db.execute("BEGIN")
            assert db.execute(sql, values).rowcount == 1
            db.execute("COMMIT")
        watches, entries = read_store(self.state_dir)
        return check(replace(self.evidence, watches=watches, entries=entries))

    def re_recorded(self, **rows: Sequence[Mapping[str, Any]]) -> Findings:
        """Check again, with other rows in TP's record."""
        return check(replace(self.evidence, record={**self.evidence.record, **rows}))

    def an_end(self) -> str:
        """Return a watch whose job ended well."""
        return next(watch.id for watch in self.evidence.watches if watch.state == "done" and watch.chain is None)


@pytest.fixture(scope="module")
def run_once(tmp_path_factory: pytest.TempPathFactory) -> Aftermath:
    directory = tmp_path_factory.mktemp("chaos")
    return Aftermath(directory / "state", anyio.run(run, SHORT, directory, print))


@pytest.fixture
def aftermath(run_once: Aftermath) -> Iterator[Aftermath]:
    store = run_once.state_dir / STORE_FILE
    before = store.read_bytes()
    yield run_once
    store.write_bytes(before)


def test_every_watch_ends_as_its_job_once_and_is_told_whatever_goes_wrong(
    aftermath: Aftermath, record_property: Callable[[str, object], None]
) -> None:
    findings = check(aftermath.evidence)
    record_property(TOLD, f"chaos: {findings.last_line()}")
    assert findings.wrong == []
    # A call whose server died before it wrote anything has none.
    assert findings.counts["watches"] >= SHORT.watches // 2
    assert findings.counts["right"] == findings.counts["delivered"] == findings.counts["entries"]
    assert findings.last_line().endswith("writes-sent-twice 0 ok")


def test_an_entry_that_is_missing_is_found(aftermath: Aftermath) -> None:
    watch_id = aftermath.an_end()
    [wrong] = aftermath.doctored("DELETE FROM inbox WHERE watch_id = ?", watch_id).wrong
    assert watch_id in wrong
    assert "0 entries" in wrong


def test_an_end_that_is_not_that_of_the_job_is_found(aftermath: Aftermath) -> None:
    watch_id = aftermath.an_end()
    [wrong] = aftermath.doctored("UPDATE watches SET state = 'failed' WHERE id = ?", watch_id).wrong
    assert watch_id in wrong
    assert "TP ended its job with" in wrong


def test_a_watch_that_never_ended_is_found(aftermath: Aftermath) -> None:
    watch_id = aftermath.an_end()
    [wrong] = aftermath.doctored("UPDATE watches SET state = 'active', ended_at = NULL WHERE id = ?", watch_id).wrong
    assert watch_id in wrong


def test_a_step_of_a_chain_that_never_began_or_began_too_soon_is_found(aftermath: Aftermath) -> None:
    watches = list(aftermath.evidence.watches)
    ended = next(watch for watch in watches if watch.state == "done" and watch.chain is None)
    step = Link("w_00000009", "run_pytest", {})
    followed = replace(ended, chain=Chain(on_done=step, next=step))
    others = [watch for watch in watches if watch is not ended]
    [wrong] = check(replace(aftermath.evidence, watches=[*others, followed])).wrong
    assert f"{step.id}: it was to follow {ended.id} (done), and never began" in wrong
    strays = [replace(ended, chain=Chain(step=2, parent=parent)) for parent in ("w_0000000a", others[0].id)]
    for stray in strays:
        [wrong] = check(replace(aftermath.evidence, watches=[*others, stray])).wrong
        assert "it began, but nothing that ended is followed by it" in wrong


def test_a_watch_that_watched_another_run_is_found(aftermath: Aftermath) -> None:
    done = [each for each in aftermath.evidence.watches if each.state == "done" and each.chain is None]
    watch = next(each for each in done if "execution:" in each.job)
    [wrong] = aftermath.doctored("UPDATE watches SET job = 'execution:1' WHERE id = ?", watch.id).wrong
    assert "it watched execution:1" in wrong


@pytest.mark.parametrize("kind", ["accepted", "refused", "struck"])
def test_a_write_that_was_sent_twice_is_found_whatever_became_of_it(aftermath: Aftermath, kind: str) -> None:
    rows = aftermath.evidence.record
    again = {**rows["accepted"][0], "reason": "conflict", "fault": "drop"}
    findings = aftermath.re_recorded(**{kind: [*rows[kind], again]})
    assert findings.counts["writes-sent-twice"] == 1
    assert findings.last_line().endswith("writes-sent-twice 1 WRONG 1")


def test_an_end_that_nobody_was_told_or_the_wrong_conversation_was_is_found(aftermath: Aftermath) -> None:
    watch_id = aftermath.an_end()
    story = copy.deepcopy(aftermath.evidence.story)
    [(conversation, end)] = story.shown.pop(watch_id)
    untold = check(replace(aftermath.evidence, story=story))
    assert [watch_id in wrong for wrong in untold.wrong] == [True]
    story.shown[watch_id] = {("somebody else", end)}
    assert len(check(replace(aftermath.evidence, story=story)).wrong) == 1
    story.shown[watch_id] = {(conversation, end), (conversation, "another end")}
    assert len(check(replace(aftermath.evidence, story=story)).wrong) == 1
