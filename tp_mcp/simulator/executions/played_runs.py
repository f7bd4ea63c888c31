"""Played executions: a timeline in simulated time instead of a real pytest, for load with hundreds of labs.

They have no script, no process, no test and no report (`report_file_path` stays empty). The answer to a GET follows
from the time and from random numbers of the simulator's seed, the lab's name and the number of the run on that
lab, so it depends neither on the reader nor on the order of the labs. No task and no timer is kept for them.
All other rules of TP hold: ids, 409s, kills, workers that die, controllers that reboot, the safety net.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from tp_mcp.simulator.executions.snapshot import (
    COUNTS_INTERVAL_SECONDS,
    DONE,
    FAILED,
    INITIATING_SECONDS,
    LOG_TAIL_BYTES,
    Counts,
    Snapshot,
)
from tp_mcp.simulator.testbeds.lab import Device, Lab, PlayedRuns

LOG_INTERVAL_SECONDS = 5.0
LOG_LINE_BYTES = 64
FEWEST_TESTS = 5
MOST_TESTS = 60
FLAWLESS_SHARE = 0.5
CONTROLLER = "10.127.0.1"
_ADDRESSES = IPv4Network("10.128.0.0/9")


@dataclass(frozen=True, slots=True)
class PlayedRun:
    """One run as planned when it was created. Moments are seconds since the epoch.

    Attributes:
        begins_at: when it becomes `Running`.
        ends_at: when it becomes `status`.
        reached: how many of them have ended at the end.
        failed: how many of those fail.
    """

    lab: str
    begins_at: float
    ends_at: float
    status: str
    planned: int
    reached: int
    failed: int
    skipped: int

    def counts_shown(self, now: float) -> Counts | None:
        """Return the counts as last refreshed, which is every 15 s; None before the first time."""
        refreshes = (now - self.begins_at) // COUNTS_INTERVAL_SECONDS
        return self._counts(self.begins_at + refreshes * COUNTS_INTERVAL_SECONDS) if refreshes >= 1 else None

    def snapshot(self, now: float) -> Snapshot:
        """Return a snapshot like one of the controller."""
        if now < self.begins_at:
            return Snapshot(None, 0, "")
        lines = int((min(now, self.ends_at) - self.begins_at) // LOG_INTERVAL_SECONDS) + 1
        last = self._summary() if now >= self.ends_at else b""
        first = max(0, lines - LOG_TAIL_BYTES // LOG_LINE_BYTES)
        text = b"".join(self._line(number) for number in range(first, lines)) + last
        return Snapshot(self._counts(now), lines * LOG_LINE_BYTES + len(last), text[-LOG_TAIL_BYTES:].decode())

    def _counts(self, now: float) -> Counts:
        share = min(1.0, (now - self.begins_at) / (self.ends_at - self.begins_at))
        finished = int(self.reached * share)
        failed, skipped = int(self.failed * share), int(self.skipped * share)
        return Counts(finished - failed - skipped, failed, skipped, 0, self.planned)

    def _line(self, number: int) -> bytes:
        counts = self._counts(self.begins_at + number * LOG_INTERVAL_SECONDS)
        text = f"{number:06} played on {self.lab}: {counts.finished} of {self.planned} tests ended"
        return text.encode()[: LOG_LINE_BYTES - 1].ljust(LOG_LINE_BYTES - 1) + b"\n"

    def _summary(self) -> bytes:
        counts, seconds = self._counts(self.ends_at), self.ends_at - self.begins_at
        if self.status == FAILED:
            return f"INTERNALERROR> played: broke off after {counts.finished} of {self.planned} tests\n".encode()
        words = f"{counts.failed} failed, {counts.passed} passed, {counts.skipped} skipped"
        return f"===== {words} in {seconds:.2f}s (played, no test was run) =====\n".encode()


def plan_played_run(runs: PlayedRuns, lab: str, number: int, seed: int, now: float) -> PlayedRun:
    """Plan the run `number` on a lab, created now."""
    chance = random.Random(f"{seed}/{lab}/{number}")  # noqa: S311 - reproducible timelines, nothing secret
    lasts = chance.uniform(runs.shortest_seconds, runs.longest_seconds)
    planned = chance.randint(FEWEST_TESTS, MOST_TESTS)
    broken = chance.random() < runs.failed_share
    reached = chance.randrange(planned) if broken else planned
    failed = 0 if chance.random() < FLAWLESS_SHARE else chance.randint(0, reached // 4)
    return PlayedRun(
        lab=lab,
        begins_at=now + INITIATING_SECONDS,
        ends_at=now + INITIATING_SECONDS + lasts,
        status=FAILED if broken else DONE,
        planned=planned,
        reached=reached,
        failed=failed,
        skipped=chance.randint(0, reached // 10),
    )


def played_labs(names: Iterable[str], runs: PlayedRuns, taken: Iterable[str]) -> Iterator[Lab]:
    """Yield labs of user `demo` with one nac device each, at addresses that are not `taken`."""
    used = set(taken)
    free = (address for address in map(str, _ADDRESSES.hosts()) if address not in used)
    for name, address in zip(names, free, strict=False):
        yield Lab(name, CONTROLLER, (Device(f"{name}-nac", address),), ("demo",), played=runs)
