"""The verdict on a run, its brief, and the comparison of a rerun, in words."""

from collections.abc import Sequence
from dataclasses import dataclass

from tp_mcp.redaction import one_line
from tp_mcp.results.text import count_of, shorten
from tp_mcp.triage.clusters import Cluster
from tp_mcp.triage.recurrence import EarlierExecution, EarlierResults, OutcomesByTest, Recurrence, by_recurrence
from tp_mcp.triage.rules import Kind
from tp_mcp.triage.test_report import BROKEN

MOST_OF_A_RUN = 0.5
"""Part of the tests that ran from which one reason counts as a shared cause."""

MOST_MIN_TESTS = 5
"""Number of tests that a run needs for a shared cause."""

REASON_MAX_CHARACTERS = 160
BRIEF_MAX_CHARACTERS = 520
"""Limit of the brief in an end message, which shares the inbox with other ends."""

BRIEF_CLUSTERS = 3

_RAN = frozenset({"passed", "failed", "error", "xfailed", "xpassed"})


@dataclass(frozen=True, slots=True)
class Triage:
    """The triage of a run.

    Attributes:
        build: build under test; empty if unknown.
        clusters: failures by reason, the largest cluster first.
        earlier: executions to compare with, the latest first.
        counted: number of tests that ran according to TP, if `outcomes` only has failures; else None.
    """

    exec_id: int
    build: str
    outcomes: OutcomesByTest
    clusters: tuple[Cluster, ...]
    earlier: tuple[EarlierExecution, ...] = ()
    counted: int | None = None

    @property
    def failed(self) -> int:
        """Return the number of failed tests, including errors."""
        return len({test_id for cluster in self.clusters for test_id in cluster.test_ids})

    @property
    def ran(self) -> int:
        """Return the number of tests that ran."""
        ran = sum(outcome in _RAN for outcome in self.outcomes.values())
        return ran if self.counted is None else max(ran, self.counted)

    @property
    def shared(self) -> Cluster | None:
        """Return the cluster with most of the run's tests: its cause is something that they all need."""
        if not self.clusters or self.ran < MOST_MIN_TESTS:
            return None
        first = self.clusters[0]
        return first if len(first.test_ids) >= MOST_OF_A_RUN * self.ran else None

    def recurrence(self, cluster: Cluster) -> str:
        """Return the comparison of a cluster with the earlier executions, in words; empty without any."""
        return recurrence_words(cluster.test_ids, self.earlier, self.build) if self.earlier else ""


def verdict(triage: Triage) -> str:
    """Return the verdict on a run, in one or two sentences."""
    if not triage.clusters:
        return "Nothing failed." if triage.ran else "No test ran, so nothing was shown to pass."
    shared = triage.shared
    if shared is not None:
        return (
            f"{len(shared.test_ids)} of {count_of(triage.ran, 'test')} failed for one reason, so this is a finding "
            f"about their shared environment ({_infrastructure(shared)}), not {len(shared.test_ids)} failures of the "
            f"build: {reason(shared)}. This run shows little else."
        )
    first = triage.clusters[0]
    recurrence = triage.recurrence(first)
    about = f"{first.decision.kind}{f'; {recurrence}' if recurrence else ''}"
    if len(triage.clusters) == 1:
        return f"{count_of(triage.failed, 'test')} of {triage.ran} failed for one reason: {reason(first)} ({about})."
    return (
        f"{triage.failed} of {count_of(triage.ran, 'test')} failed for {len(triage.clusters)} reasons; the first, with "
        f"{count_of(len(first.test_ids), 'test')}: {reason(first)} ({about})."
    )


def brief(triage: Triage) -> str:
    """Return verdict and clusters for an end message, up to `BRIEF_MAX_CHARACTERS`; empty if nothing failed."""
    if not triage.clusters:
        return ""
    shared = triage.shared
    if shared is not None:
        lead = f"Triage: {len(shared.test_ids)} of {triage.ran} tests failed for one reason ({_infrastructure(shared)})"
    else:
        lead = f"Triage: {count_of(triage.failed, 'failed test')}, {count_of(len(triage.clusters), 'reason')}"
    named = triage.clusters[:BRIEF_CLUSTERS]
    room = (BRIEF_MAX_CHARACTERS - len(lead) - 40) // len(named)
    parts = [shorten(_brief_of(triage, cluster), room) for cluster in named]
    more = len(triage.clusters) - len(named)
    return f"{lead}: {'; '.join(parts)}{f'; and {more} more' if more else ''}."


def reason(cluster: Cluster, max_characters: int = REASON_MAX_CHARACTERS) -> str:
    """Return the most informative line of a cluster."""
    return shorten(one_line(cluster.telling_line), max_characters)


def recurrence_words(test_ids: Sequence[str], earlier: Sequence[EarlierExecution], build: str) -> str:
    """Return the comparison of failing tests with earlier executions, in words."""
    found = by_recurrence(test_ids, earlier)
    words = [_recurrence_words(recurrence, tests, build) for recurrence, tests in found.items()]
    if len(found) == 1:
        return words[0]
    return ", ".join(f"{len(tests)} {word}" for tests, word in zip(found.values(), words, strict=True))


def _recurrence_words(recurrence: Recurrence, tests: Sequence[EarlierResults], build: str) -> str:
    first = tests[0]
    match recurrence:
        case Recurrence.NEW:
            return f"new since {_execution(first.since)}{_from_to(first.since, build)}"
        case Recurrence.KNOWN:
            return f"failing since {_execution(first.since)}{_on(first.since)}"
        case Recurrence.FLAKY:
            return (
                f"flaky: failed {sum(test.failed for test in tests)} of {sum(test.ran for test in tests)} times before"
            )
        case _:
            return "never run here before"


def _execution(execution: EarlierExecution | None) -> str:
    return "" if execution is None else f"execution {execution.exec_id}"


def _from_to(execution: EarlierExecution | None, build: str) -> str:
    if execution is None or not (execution.build and build):
        return ""
    if execution.build == build:
        return f" (the same build {build})"
    return f" (build {one_line(execution.build)} to {one_line(build)})"


def _on(execution: EarlierExecution | None) -> str:
    return f" (build {one_line(execution.build)})" if execution is not None and execution.build else ""


def _infrastructure(cluster: Cluster) -> str:
    return "infrastructure" if cluster.decision.kind in {Kind.ENVIRONMENT, Kind.UNKNOWN} else "a shared part"


def _brief_of(triage: Triage, cluster: Cluster) -> str:
    recurrence = triage.recurrence(cluster)
    about = ", ".join(part for part in (cluster.decision.kind, recurrence) if part)
    return f"{len(cluster.test_ids)} x {reason(cluster)} ({about})"


NAMED_MAX = 2
NAME_MAX_CHARACTERS = 90


def rerun_words(of: EarlierExecution, outcomes: OutcomesByTest) -> str:
    """Return the changes of a rerun against the execution that it repeats, as a sentence."""
    again = [test_id for test_id, outcome in of.outcomes.items() if outcome in BROKEN and test_id in outcomes]
    if not again:
        return f"It repeats execution {of.exec_id}, but none of the tests that failed there ran."
    passing = [test_id for test_id in again if outcomes[test_id] == "passed"]
    failing = [test_id for test_id in again if outcomes[test_id] in BROKEN]
    other = len(again) - len(passing) - len(failing)
    parts = [
        f"{len(passing)} pass now{_named(passing)}" if passing else "",
        f"{len(failing)} fail again{_named(failing)}" if failing else "",
        f"{other} neither passed nor failed" if other else "",
    ]
    changes = ", ".join(part for part in parts if part)
    return f"Against execution {of.exec_id}: of {count_of(len(again), 'test')} that failed there, {changes}."


def _named(test_ids: list[str]) -> str:
    if len(test_ids) > NAMED_MAX:
        return ""
    return f" ({', '.join(shorten(test_id, NAME_MAX_CHARACTERS) for test_id in test_ids)})"
