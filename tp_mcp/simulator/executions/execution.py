"""Executions of pytest: their states, the transitions between them, and the answer to a GET.

    Initiating ──> Running ──> Done | Failed | Cancelled

An execution whose worker died keeps its last state, whatever happens on the controller, until the safety net ends it.
"""

import posixpath
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from tp_mcp.simulator.executions.played_runs import PlayedRun
from tp_mcp.simulator.executions.snapshot import (
    COUNTS_INTERVAL_SECONDS,
    FAILED,
    INITIATING,
    RUNNING,
    SAFETY_NET_SECONDS,
    TERMINAL,
    Counts,
    Snapshot,
)
from tp_mcp.simulator.refusals import Reason, Refusal

_FIRST_PLAYED_PID = 100_000


@dataclass(frozen=True, slots=True)
class Execution:
    """One run of pytest. Moments are seconds since the epoch.

    Attributes:
        worker_died: whether its worker no longer reports from the controller.
        controller_rebooted: whether the run on the controller is lost, so no worker can continue it.
        played: its timeline if no real pytest runs.

    The others are as in the answers of TP.
    """

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
    controller_rebooted: bool = False
    played: PlayedRun | None = None

    @property
    def report_file_path(self) -> str:
        """The report's path relative to the server; empty for a played run, which has none."""
        if self.played is not None:
            return ""
        stamp = datetime.fromtimestamp(int(self.created_at), UTC).strftime("%Y-%m-%d_%H:%M:%S")
        return posixpath.join("data", "AutomationTest", f"test_{self.exec_id}_report_{stamp}.html")

    @property
    def log_file_path(self) -> str:
        """The log's path on the controller, as TP reports it."""
        return f"/tmp/pytest_{self.exec_id}.log"  # noqa: S108 - a path in a text, never opened

    @property
    def in_flight(self) -> bool:
        """Whether it keeps the lab busy."""
        return self.status not in TERMINAL

    def begin(self, pid: int, now: float) -> "Execution":
        """Record the start of the script."""
        if self.worker_died or not self.in_flight:
            return self
        return replace(self, status=RUNNING, remote_pid=pid, started_at=now, counted_at=now)

    def observe(self, snapshot: Snapshot, now: float) -> "Execution":
        """Record a snapshot of the controller: the log immediately, the counts every 15 s."""
        if self.worker_died or self.status != RUNNING:
            return self
        seen = replace(self, log_size=snapshot.log_size, log_tail=snapshot.log_tail)
        if now - self.counted_at < COUNTS_INTERVAL_SECONDS or snapshot.counts is None:
            return seen
        return replace(seen, counts=snapshot.counts, counted_at=now)

    def finish(self, status: str, snapshot: Snapshot, now: float) -> "Execution":
        """Record the end of the script."""
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
        """Kill the worker: the row stays unchanged."""
        return replace(self, worker_died=True) if self.in_flight else self

    def lose_controller(self) -> "Execution":
        """Reboot the controller: the run is lost, and the row stays unchanged."""
        return replace(self.lose_worker(), controller_rebooted=True)

    def revive_worker(self) -> "Execution":
        """Revive the worker. Raises Refusal (INVALID) if there is none."""
        if not self.worker_died or self.controller_rebooted or not self.in_flight:
            raise Refusal(Reason.INVALID, f"execution {self.exec_id} has no worker that could go on")
        return replace(self, worker_died=False)

    def at(self, now: float, *, with_log: bool = True) -> "Execution":
        """Return the row at a time, after the effects of time alone: a played run, and the safety net."""
        row = self if self.played is None or self.worker_died else self._play(self.played, now, with_log=with_log)
        end = self.created_at + SAFETY_NET_SECONDS
        return row.give_up(FAILED, end) if now >= end else row

    def give_up(self, status: str, now: float) -> "Execution":
        """End the row without a report from the controller."""
        return replace(self, status=status, ended_at=now, counts=self.counts or Counts()) if self.in_flight else self

    def _play(self, run: PlayedRun, now: float, *, with_log: bool) -> "Execution":
        if not self.in_flight or now < run.begins_at:
            return self
        row = self.begin(_FIRST_PLAYED_PID + self.exec_id, run.begins_at) if self.status == INITIATING else self
        if now >= run.ends_at:
            return row.finish(run.status, run.snapshot(run.ends_at), run.ends_at)
        row = replace(row, counts=run.counts_shown(now))
        return row.observe(run.snapshot(now), row.counted_at) if with_log else row

    def view(self) -> dict[str, Any]:
        """Return the answer to a GET. The counts are absent at first, then null, then numbers."""
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


def _epoch(moment: float | None) -> str | None:
    return None if moment is None else str(int(moment))


def read_exec_id(value: object) -> int:
    """Return an id that was given as a number or in digits. Raises Refusal (UNKNOWN) if it is neither."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isdecimal() and value.isascii() and len(value) < 19:
        return int(value)
    raise Refusal(Reason.UNKNOWN, f"execution {value} not found")
