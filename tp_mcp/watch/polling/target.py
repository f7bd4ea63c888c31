"""Targets: one poll for all watches that need the same answer, and the queue of those that are due."""

import heapq
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue


@dataclass(frozen=True, slots=True)
class TargetKey:
    """A poll tool, its canonical arguments, and the principal whose login is used; empty for the configured login."""

    tool: str
    args_json: str
    identity: str = ""

    @property
    def text(self) -> str:
        """Return the key as one text, as leases name it."""
        return f"{self.tool} {self.args_json}" + (f" as {self.identity}" if self.identity else "")


@dataclass(slots=True)
class Target:
    """One thing to poll, and the watches that share its answer.

    `due` is in seconds since the epoch; `failures` counts consecutive polls without an answer; `leased` says whether
    this process holds the lease, and so polls it. Entries of the queue with another number than `place` are outdated.
    """

    key: TargetKey
    args: Mapping[str, JsonValue]
    due: float
    watch_ids: set[str] = field(default_factory=set)
    polling: bool = False
    failures: int = 0
    leased: bool = True
    place: int = 0


def key_of(tool: str, args: Mapping[str, JsonValue], identity: str = "") -> TargetKey:
    """Return the key under which equal calls share one poll."""
    return TargetKey(tool, json.dumps(args, sort_keys=True, separators=(",", ":")), identity)


class DueQueue:
    """Targets ordered by due time. Moving one costs O(log n); outdated entries are skipped."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Target]] = []
        self._pushed = 0

    def put(self, target: Target, due: float) -> None:
        """Set the due time of a target."""
        self._pushed += 1
        target.due, target.place = due, self._pushed
        heapq.heappush(self._heap, (due, self._pushed, target))

    def pop_due(self, now: float) -> list[Target]:
        """Remove and return every target that is due, the most overdue first."""
        due: list[Target] = []
        while self._heap and self._heap[0][0] <= now:
            _, place, target = heapq.heappop(self._heap)
            if _is_current(target, place):
                due.append(target)
        return due

    def next_due(self) -> float | None:
        """Return the earliest due time; None if the queue is empty."""
        while self._heap and not _is_current(self._heap[0][2], self._heap[0][1]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None


def _is_current(target: Target, place: int) -> bool:
    return bool(target.watch_ids) and target.leased and not target.polling and target.place == place
