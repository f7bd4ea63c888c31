"""What the store holds and the conversations were told, held against TP's own record of what happened. Pure."""

import re
import sqlite3
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tp_mcp.storage.opening import STORE_FILE
from tp_mcp.storage.watch_rows import row_to_entry, row_to_watch
from tp_mcp.watch.delivery.messages import reason_text
from tp_mcp.watch.model.watch import Advisory, InboxEntry, Watch, WatchState

RUN_MARK = "chaos_"
_MARK = re.compile(rf"{RUN_MARK}(\d+)")
Row = Mapping[str, Any]


@dataclass
class Story:
    """What the conversations saw.

    Attributes:
        shown: by watch, in which conversation which end was shown.
        refused: numbers of the calls whose caller was told that they were refused.
    """

    shown: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Evidence:
    """Everything that is known at the end.

    Attributes:
        watches: the rows of the store.
        entries: its inbox entries.
        record: TP's own record of the writes.
        story: what the conversations saw.
    """

    watches: Sequence[Watch]
    entries: Sequence[InboxEntry]
    record: Mapping[str, Sequence[Row]]
    story: Story


@dataclass
class Findings:
    """The counts of the last line, and what is wrong."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def last_line(self) -> str:
        ends = ("watches", "ended", "right", "entries", "delivered", "cancelled", "past-limit", "stalled")
        names = (*ends, "steps", "writes", "writes-sent-twice")
        counts = " ".join(f"{name} {self.counts[name]}" for name in names)
        return f"{counts} {'ok' if not self.wrong else f'WRONG {len(self.wrong)}'}"


def read_store(state_dir: Path) -> tuple[list[Watch], list[InboxEntry]]:
    """Read every watch and every entry, whoever has the store open."""
    with closing(sqlite3.connect(f"file:{state_dir / STORE_FILE}?mode=ro", uri=True, timeout=10)) as db:
        db.row_factory = sqlite3.Row
        watches = [row_to_watch(row) for row in db.execute("SELECT * FROM watches ORDER BY created_at, id")]
        return watches, [row_to_entry(row) for row in db.execute("SELECT * FROM inbox")]


def number_of_watch(watch: Watch) -> int | None:
    """Return the number of the call that made a watch."""
    return _number(watch.origin.arguments)


def check(evidence: Evidence) -> Findings:
    """Count what is right, and tell what is wrong."""
    findings = Findings()
    accepted = {_number(row["asked"]): row for row in evidence.record["accepted"]}
    by_execution = {row["exec_id"]: row for row in evidence.record["accepted"] if row["exec_id"] is not None}
    entries: dict[str, list[InboxEntry]] = {}
    for entry in evidence.entries:
        entries.setdefault(entry.watch_id, []).append(entry)
    findings.counts["watches"] = len(evidence.watches)
    for watch in evidence.watches:
        write = by_execution[_observed(watch)] if _observed(watch) else accepted.get(number_of_watch(watch))
        _check_watch(watch, write, entries.get(watch.id, []), evidence.story, findings)
    _check_chains(evidence.watches, findings)
    known = {watch.id for watch in evidence.watches}
    findings.wrong += [
        f"{stray}: it was shown, but there is no such watch" for stray in set(evidence.story.shown) - known
    ]
    _check_writes(evidence.record, findings)
    return findings


def unfinished(watches: Collection[Watch], record: Mapping[str, Sequence[Row]]) -> list[str]:
    """Return the watches that have not come to where their job is."""
    dead = {_number(row["asked"]) for row in record["accepted"] if row["worker_died"]}
    began = {watch.id for watch in watches}
    dead_runs = {row["exec_id"] for row in record["accepted"] if row["worker_died"] and row["exec_id"] is not None}
    steps = [step for watch in watches if (step := _due_step(watch)) is not None and step not in began]
    return steps + [
        watch.id
        for watch in watches
        if not watch.state.ended
        and not (
            watch.advisory is Advisory.STALLED and (number_of_watch(watch) in dead or _observed(watch) in dead_runs)
        )
    ]


def _check_watch(watch: Watch, write: Row | None, entries: list[InboxEntry], story: Story, findings: Findings) -> None:
    counts, name = findings.counts, f"{watch.id} ({watch.title}, {watch.state})"
    if watch.state is WatchState.CANCELLED:
        counts["cancelled"] += 1
        if entries:
            findings.wrong.append(f"{name}: it was cancelled, and has an entry all the same")
        return
    if write is not None and write["end"] is None and write["worker_died"]:
        counts["stalled"] += 1
        if watch.state is not WatchState.ACTIVE or watch.advisory is not Advisory.STALLED:
            findings.wrong.append(f"{name}: its worker died, so it should be stalled, but is {watch.advisory}")
        return
    if watch.state is WatchState.TIMED_OUT and _over(watch):
        counts["past-limit"] += 1
    else:
        counts["ended"] += 1
        problem = _wrong_end(watch, write)
        counts["right"] += not problem
        findings.wrong += [f"{name}: {problem}"] if problem else []
    if len(entries) == 1:
        counts["entries"] += 1
    else:
        findings.wrong.append(f"{name}: it has {len(entries)} entries")
    told = story.shown.get(watch.id, set())
    right_place = all(watch.owner.conversation.endswith(f":{conversation}") for conversation, _ in told)
    refused = not told and number_of_watch(watch) in story.refused
    if refused or (len(told) == 1 and right_place):
        counts["delivered"] += 1
    else:
        findings.wrong.append(f"{name}: its end was shown as {sorted(told)} to the owner {watch.owner.conversation}")


def _wrong_end(watch: Watch, write: Row | None) -> str:
    if write is None:
        return "" if watch.state is WatchState.FAILED else "TP never accepted its write, so it should have failed"
    end = write["end"]
    if end is None:
        return "its job has not ended on TP"
    good = end["status"] in {"Done", "SUCCESS"}
    if watch.state is not (WatchState.DONE if good else WatchState.FAILED):
        return f"TP ended its job with {end['status']}, the watch says: {reason_text(watch)}"
    return "" if write["exec_id"] is None else _wrong_run(watch, write, good=good)


def _wrong_run(watch: Watch, write: Row, *, good: bool) -> str:
    if watch.job != f"execution:{write['exec_id']}":
        return f"TP made execution {write['exec_id']} of its write, but it watched {watch.job}"
    seen = watch.reading.counts if watch.reading else None
    told = None if seen is None else (seen.passed, seen.failed, seen.skipped, seen.errors)
    real = tuple(write["end"]["counts"][kind] for kind in ("passed", "failed", "skipped", "errors")) if good else told
    return "" if told == real else f"TP counted {real}, the watch {told}"


def _check_chains(watches: Sequence[Watch], findings: Findings) -> None:
    """Each step that was due began once, after the end that it follows, and no other did."""
    by_id = {watch.id: watch for watch in watches}
    due = {step: watch for watch in watches if (step := _due_step(watch)) is not None}
    for step, parent in due.items():
        if step not in by_id:
            findings.wrong.append(f"{step}: it was to follow {parent.id} ({parent.state}), and never began")
    for watch in watches:
        if watch.chain is None or watch.chain.parent is None:
            continue
        findings.counts["steps"] += 1
        follows = by_id.get(watch.chain.parent)
        if follows is None or _due_step(follows) != watch.id:
            findings.wrong.append(f"{watch.id}: it began, but nothing that ended is followed by it")
        elif watch.created_at < (follows.ended_at or watch.created_at):
            findings.wrong.append(f"{watch.id}: it began before {follows.id} had ended")


def _due_step(watch: Watch) -> str | None:
    return watch.chain.next.id if watch.chain is not None and watch.chain.next is not None else None


def _check_writes(record: Mapping[str, Sequence[Row]], findings: Findings) -> None:
    # A 401 proves that nothing was done: only that may be sent once more, with another token.
    sent = Counter(_number(row["asked"]) for row in record["accepted"])
    sent.update(_number(row["asked"]) for row in record["refused"] if row["reason"] != "unauthorized")
    sent.update(_number(row["asked"]) for row in record["struck"] if row["fault"] != "expired_token")
    findings.counts["writes"] = sent.total()
    for number, times in sent.items():
        if times > 1:
            findings.counts["writes-sent-twice"] += 1
            findings.wrong.append(f"the write of call {number} was sent {times} times")


def _over(watch: Watch) -> bool:
    limit = watch.spec.max_polls
    return watch.elapsed(watch.since) >= watch.spec.timeout_seconds or (limit is not None and watch.polls >= limit)


def _observed(watch: Watch) -> int | None:
    args = watch.origin.arguments.get("args")
    return args.get("exec_id") if isinstance(args, dict) else None  # type: ignore[return-value]  # an execution's id


def _number(asked: Mapping[str, Any]) -> int | None:
    found = _MARK.search(str(asked.get("argument", "")))
    if found is not None:
        return int(found[1])
    build = asked.get("build_number")
    return int(build) if build else None
