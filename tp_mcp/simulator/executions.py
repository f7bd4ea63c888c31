"""Executions of pytest: what a GET shows of them, and the transitions between their states.

    Initiating ──> Running ──> Done | Failed | Cancelled

An execution whose worker died keeps its last state: nothing that happens on the controller reaches it any more, until
the safety net ends it.
"""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from tp_mcp.simulator.labs import Lab
from tp_mcp.simulator.refusals import Reason, Refusal

INITIATING_SECONDS = 4.0
COUNTS_INTERVAL_SECONDS = 15.0
SAFETY_NET_SECONDS = 6 * 3600.0
LOG_TAIL_BYTES = 4096

INITIATING = "Initiating"
RUNNING = "Running"
DONE = "Done"
FAILED = "Failed"
CANCELLED = "Cancelled"
TERMINAL = frozenset({DONE, FAILED, CANCELLED})


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of tests; `total` is the planned number while pytest runs and the sum of its summary line at the end."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    errors: int = 0
    total: int = 0

    @property
    def finished(self) -> int:
        """How many ended, as far as the four counters tell."""
        return self.passed + self.failed + self.skipped + self.errors


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a look at the controller shows of a run.

    Attributes:
        counts: None before the tests were collected.
        log_size: bytes of the log.
        log_tail: its last 4 KB.

    """

    counts: Counts | None
    log_size: int
    log_tail: str


@dataclass(frozen=True, slots=True)
class Execution:
    """One run of pytest. Moments are seconds since the epoch."""

    exec_id: int
    user: str
    lab: str
    controller: str
    testcase: tuple[str, ...]
    argument: str
    extra_pytest_options: str
    created_at: float
    status: str = INITIATING
    remote_pid: int | None = None
    started_at: float | None = None
    ended_at: float | None = None
    counts: Counts | None = None
    counted_at: float = 0.0
    log_size: int = 0
    log_tail: str = ""
    worker_died: bool = False

    @property
    def report_file_path(self) -> str:
        """The report's path relative to the server."""
        stamp = datetime.fromtimestamp(int(self.created_at), UTC).strftime("%Y-%m-%d_%H:%M:%S")
        return posixpath.join("data", "AutomationTest", f"test_{self.exec_id}_report_{stamp}.html")

    @property
    def log_file_path(self) -> str:
        """The log's path on the controller, as TP tells it."""
        return f"/tmp/pytest_{self.exec_id}.log"  # noqa: S108 - a path in a text, never opened

    @property
    def in_flight(self) -> bool:
        """Whether it keeps the lab busy."""
        return self.status not in TERMINAL

    def begin(self, pid: int, now: float) -> "Execution":
        """Note that the script runs."""
        if self.worker_died or not self.in_flight:
            return self
        return replace(self, status=RUNNING, remote_pid=pid, started_at=now, counted_at=now)

    def observe(self, snapshot: Snapshot, now: float) -> "Execution":
        """Write down a look at the controller: the log moves at once, the counts every 15 s."""
        if self.worker_died or self.status != RUNNING:
            return self
        seen = replace(self, log_size=snapshot.log_size, log_tail=snapshot.log_tail)
        if now - self.counted_at < COUNTS_INTERVAL_SECONDS or snapshot.counts is None:
            return seen
        return replace(seen, counts=snapshot.counts, counted_at=now)

    def finish(self, status: str, snapshot: Snapshot, now: float) -> "Execution":
        """Note that the script ended, or was ended."""
        if self.worker_died or not self.in_flight:
            return self
        return replace(
            self,
            status=status,
            ended_at=now,
            counts=snapshot.counts or Counts(),
            log_size=snapshot.log_size,
            log_tail=snapshot.log_tail,
        )

    def lose_worker(self) -> "Execution":
        """Let the worker die: the row stays as it is."""
        return replace(self, worker_died=True) if self.in_flight else self

    def give_up(self, status: str, now: float) -> "Execution":
        """End the row without a word from the controller."""
        return replace(self, status=status, ended_at=now, counts=self.counts or Counts()) if self.in_flight else self

    def past_safety_net(self, now: float) -> bool:
        """Whether the row has to be ended because nothing was heard for too long."""
        return self.in_flight and now - self.created_at >= SAFETY_NET_SECONDS

    def view(self) -> dict[str, Any]:
        """Return what a GET answers. The counts are absent at first, then null, then numbers."""
        row: dict[str, Any] = {
            "exec_id": self.exec_id,
            "status": self.status,
            "lab": self.lab,
            "controller": self.controller,
            "remote_pid": None if self.remote_pid is None else str(self.remote_pid),
        }
        if self.status != INITIATING:
            counts = self.counts
            row |= {
                "pass_count": counts and counts.passed,
                "fail_count": counts and counts.failed,
                "skip_count": counts and counts.skipped,
                "error_count": counts and counts.errors,
                "total_count": counts and counts.total,
            }
        return row | {
            "start_timestamp": _epoch(self.started_at),
            "end_timestamp": _epoch(self.ended_at),
            "report_file_path": self.report_file_path,
            "log_file_path": self.log_file_path,
            "log_size": self.log_size,
            "log_tail": self.log_tail,
        }

    def row(self) -> dict[str, Any]:
        """Return its row in the list of a user's executions; `progress` is a percentage."""
        counts = self.counts or Counts()
        progress = 100 if not self.in_flight else 100 * counts.finished // max(counts.total, 1)
        return {
            "id": self.exec_id,
            "exec_id": self.exec_id,
            "user": self.user,
            "lab": self.lab,
            "status": self.status,
            "progress": progress,
            "start_timestamp": _epoch(self.started_at),
            "end_timestamp": _epoch(self.ended_at),
            "report_file_path": self.report_file_path,
            "log_file_path": self.log_file_path,
        }


class ExecutionTable:
    """All executions, by id."""

    def __init__(self, first_id: int) -> None:
        self._next_id = first_id
        self._rows: dict[int, Execution] = {}

    def __iter__(self) -> Iterator[Execution]:
        """Iterate from the oldest to the newest."""
        return iter(list(self._rows.values()))

    def get(self, exec_id: int) -> Execution:
        """Return one.

        Raises:
            Refusal: (UNKNOWN) if there is none with this id.

        """
        try:
            return self._rows[exec_id]
        except KeyError:
            raise Refusal(Reason.UNKNOWN, f"execution {exec_id} not found") from None

    def put(self, execution: Execution) -> None:
        """Write a row."""
        self._rows[execution.exec_id] = execution

    def in_flight_on(self, lab: str) -> Execution | None:
        """Return the execution that keeps `lab` busy."""
        return next((row for row in self._rows.values() if row.lab == lab and row.in_flight), None)

    def create(self, lab: Lab, user: str, body: dict[str, Any], now: float) -> Execution:
        """Check a request and write its row.

        Raises:
            Refusal: (INVALID) if a field is missing or of a wrong type; (CONFLICT) if the lab is busy.

        """
        testcase = body.get("testcase")
        if not isinstance(testcase, list) or not testcase or not all(isinstance(one, str) and one for one in testcase):
            raise Refusal(Reason.INVALID, "testcase must be a list of at least one pytest id")
        argument = body.get("argument") or ""
        extra = body.get("extra_pytest_options") or ""
        if not isinstance(argument, str) or not isinstance(extra, str):
            raise Refusal(Reason.INVALID, "argument and extra_pytest_options must be strings")
        if self.in_flight_on(lab.name):
            raise Refusal(Reason.CONFLICT, f"another execution is already in flight on '{lab.name}'")
        execution = Execution(self._next_id, user, lab.name, lab.controller, tuple(testcase), argument, extra, now)
        self._next_id += 1
        self.put(execution)
        return execution


def _epoch(moment: float | None) -> str | None:
    return None if moment is None else str(int(moment))
