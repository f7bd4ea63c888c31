"""What is polled: one target for every watch that wants the same answer."""

import heapq
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

RESUME_SPREAD_SECONDS = 1.0
RESUME_SECONDS_PER_TARGET = 0.02
"""More targets than fit into `RESUME_SPREAD_SECONDS` take longer, but no longer than their interval."""


def resume_spread(targets: int) -> float:
    """Return the seconds over which the first polls of so many targets are spread."""
    return max(RESUME_SPREAD_SECONDS, targets * RESUME_SECONDS_PER_TARGET)


@dataclass(frozen=True, slots=True)
class TargetKey:
    """A poll tool, its arguments and whose login it is polled with, so written that equal calls are equal keys.

    Attributes:
        tool: the tool.
        args_json: its arguments.
        identity: whose login; empty for the configured one.

    """

    tool: str
    args_json: str
    identity: str = ""

    @property
    def text(self) -> str:
        """Return the key as one text, as leases name it."""
        return f"{self.tool} {self.args_json}" + (f" as {self.identity}" if self.identity else "")


@dataclass(slots=True)
class Target:
    """One thing to poll, and who waits for its answer.

    Attributes:
        key: what tells it from other targets.
        args: the arguments to poll with.
        watch_ids: the watches that want the answer.
        due: when it is polled next, seconds since the epoch.
        polling: whether a poll is under way.
        failures: how many polls in a row were not answered.
        leased: whether this process is the one that polls it.
        place: which of its places in the queue counts; the others are outdated.

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
    """Targets by the time they are due. Moving one costs O(log n); outdated places in the heap are passed over."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Target]] = []
        self._pushed = 0

    def put(self, target: Target, due: float) -> None:
        """Let a target be due at `due`."""
        self._pushed += 1
        target.due, target.place = due, self._pushed
        heapq.heappush(self._heap, (due, self._pushed, target))

    def pop_due(self, now: float) -> list[Target]:
        """Take out every target that is due, the most overdue first."""
        due: list[Target] = []
        while self._heap and self._heap[0][0] <= now:
            _, place, target = heapq.heappop(self._heap)
            if _in_place(target, place):
                due.append(target)
        return due

    def next_due(self) -> float | None:
        """Return when the next target is due; None when there is none."""
        while self._heap and not _in_place(self._heap[0][2], self._heap[0][1]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None


def _in_place(target: Target, place: int) -> bool:
    return bool(target.watch_ids) and target.leased and not target.polling and target.place == place
