"""Texts of a triage: clusters with evidence, notes, the comparison and the next step; the tests of a rerun."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from tp_mcp.api.guard import intended_ids
from tp_mcp.errors import InputError
from tp_mcp.history.analysis import Analysis
from tp_mcp.history.records import Note
from tp_mcp.redaction import one_line
from tp_mcp.results.statuses import word
from tp_mcp.results.text import count_of, shorten
from tp_mcp.tools.framework import watch_documents
from tp_mcp.triage.clusters import Cluster
from tp_mcp.triage.recurrence import EarlierExecution
from tp_mcp.triage.verdict import reason

EXAMPLES = 2
"""Tests of a cluster that are named, and rerun to see whether it fails again."""

SHARED_EXAMPLES = 3
RERUN_MAX_TESTS = 100
EVIDENCE_MAX_CHARACTERS = 2_000_000
EVIDENCE_LOG_MAX_CHARACTERS = 20_000
"""Limit of one failure's stored log; a longer one loses its middle, with a mark."""

TEST_MAX_CHARACTERS = 160
LINE_MAX_CHARACTERS = 220
NOTE_MAX_CHARACTERS = 200


def cluster_item(analysis: Analysis, cluster: Cluster) -> str:
    """Return a cluster with its evidence, as a list item."""
    decision = cluster.decision
    first = cluster.failures[0]
    lead = [count_of(len(cluster.test_ids), "test"), f"{decision.kind}{f' ({decision.rule})' if decision.rule else ''}"]
    if recurrence := analysis.triage.recurrence(cluster):
        lead.append(recurrence)
    lines = [f"[{cluster.id}] {', '.join(lead)}", reason(cluster, LINE_MAX_CHARACTERS)]
    if decision.line and decision.line not in cluster.telling_line:
        decided_by = shorten(one_line(decision.line), LINE_MAX_CHARACTERS)
        lines.append(f"decided by: {decided_by} (in {_test(cluster.decided_by.test.test_id)})")
    lines.extend(f"e.g. {_test(test_id)}" for test_id in cluster.test_ids[:EXAMPLES])
    frame = first.traceback.own_frame
    where = f"at {frame.path}:{frame.line}" if frame is not None else ""
    phase = f"in {first.test.phase}" if first.test.phase != "call" else ""
    if where or phase:
        lines.append(shorten(one_line(" ".join(part for part in (where, phase) if part)), LINE_MAX_CHARACTERS))
    note = analysis.note_on(cluster)
    if note is not None:
        lines.append(note_words(note, build=analysis.run.build, now=analysis.now))
    return "\n".join(lines)


def evidence(analysis: Analysis) -> str:
    """Return the logs of all failures under their cluster ids, the largest cluster first, up to the limit."""
    parts: list[str] = []
    room = EVIDENCE_MAX_CHARACTERS
    left_out = 0
    for cluster in analysis.triage.clusters:
        for failure in cluster.failures:
            heading = f"=== [{cluster.id}] {one_line(failure.test.test_id)} (in {failure.test.phase})"
            part = f"{heading}\n{shorten(failure.test.log, EVIDENCE_LOG_MAX_CHARACTERS)}\n"
            if len(part) > room:
                left_out += 1
                continue
            room -= len(part)
            parts.append(part)
    if left_out:
        parts.append(f"=== {count_of(left_out, 'failure')} left out: too many, or too long\n")
    return "\n".join(parts)


def note_words(note: Note, *, build: str = "", now: float) -> str:
    """Return a note with its limits and whether it has expired."""
    text = shorten(one_line(note.text), NOTE_MAX_CHARACTERS)
    limits = [
        f"until build {one_line(note.until_build)}" if note.until_build else "",
        "" if note.until_at is None else f"to the end of {_last_day(note.until_at)}",
    ]
    until = ", ".join(limit for limit in limits if limit)
    ended = "" if note.holds(build=build, now=now) else "; expired"
    return f"noted: {text}{f' ({until}{ended})' if until else ''}"


def _last_day(until: float) -> str:
    # A note ends when the following day begins.
    return f"{datetime.fromtimestamp(until, UTC) - timedelta(seconds=1):%Y-%m-%d}"


def compared_with(earlier: Sequence[EarlierExecution], baseline: int | None) -> str:
    """Return the comparison of an execution, as a sentence."""
    if not earlier:
        return "No earlier execution of this lab is known here, so new failures cannot be told apart; give a baseline."
    if baseline is not None:
        return f"Compared with execution {baseline}{_on(earlier[0])}."
    if len(earlier) == 1:
        return f"Compared with execution {earlier[0].exec_id}{_on(earlier[0])}."
    return (
        f"Compared with {len(earlier)} earlier executions of this lab, {earlier[-1].exec_id} to {earlier[0].exec_id}."
    )


def next_step(analysis: Analysis) -> str:
    """Return the smallest step that gives more information."""
    clusters = analysis.triage.clusters
    if not clusters:
        return ""
    rerun = watch_documents.call_words("rerun_failed", exec_id=analysis.run.exec_id)
    if analysis.triage.shared is not None:
        lab = watch_documents.call_words("list_labs", search=analysis.run.lab)
        return f"Check the shared cause first ({lab}); then {rerun} runs a few of them again."
    if all(analysis.is_known(cluster) for cluster in clusters):
        return "All reasons are noted as known."
    return f"{rerun} reruns {EXAMPLES} tests of each reason not noted as known; cluster selects one reason."


def tests_to_rerun(analysis: Analysis, cluster: str | None) -> tuple[str, ...]:
    """Return the smallest informative set of tests to rerun.

    Raises:
        InputError: nothing failed, the cluster does not exist, or pytest cannot select any of its tests by id.
    """
    if not analysis.triage.clusters:
        raise InputError(
            f"Nothing failed in execution {analysis.run.exec_id}, so there is nothing to rerun.",
            remedy="run_pytest runs tests of your choice.",
        )
    if cluster is not None:
        wanted = analysis.cluster(cluster).test_ids
    elif (shared := analysis.triage.shared) is not None:
        wanted = shared.test_ids[:SHARED_EXAMPLES]
    else:
        unknown = [each for each in analysis.triage.clusters if not analysis.is_known(each)] or analysis.triage.clusters
        wanted = tuple(test_id for each in unknown for test_id in each.test_ids[:EXAMPLES])
    named = dict.fromkeys(name for test_id in wanted if (name := _nameable(test_id)))
    if not named:
        raise InputError(
            "pytest cannot select any of the failed tests by id.", remedy="Pass their file or directory to run_pytest."
        )
    return tuple(named)[:RERUN_MAX_TESTS]


def _nameable(test_id: str) -> str:
    """Return an id that a run accepts, without parameters if necessary; empty if there is none."""
    for name in (test_id, test_id.partition("[")[0]):
        try:
            return intended_ids([name])[0]
        except InputError:
            continue
    return ""


def _on(execution: EarlierExecution) -> str:
    return f" (build {word(execution.build)})" if execution.build else ""


def _test(test_id: str) -> str:
    return shorten(one_line(test_id), TEST_MAX_CHARACTERS)
