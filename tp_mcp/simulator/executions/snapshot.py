"""The statuses of a run, its counts, and a snapshot of its progress on the controller."""

from dataclasses import dataclass

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
        """Number of ended tests, according to the four counters."""
        return self.passed + self.failed + self.skipped + self.errors


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a run on the controller.

    Attributes:
        counts: None before the tests are collected.
        log_size: bytes of the log.
        log_tail: its last 4 KB.
    """

    counts: Counts | None
    log_size: int
    log_tail: str
