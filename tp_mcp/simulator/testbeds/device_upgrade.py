"""One device's upgrade as a timeline: every question about it is a pure function of the time.

    dispatched ──(pick-up window)──> picked up ──> image copied ──> reboot ──> boots ──> end
                 GET shows the                      log and updated_at move every 3 s
                 previous upgrade

A worker that dies stops the log and `updated_at`; the status stays `PROGRESS`. What the device already started goes on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

LOG_INTERVAL_SECONDS = 3.0
LOG_TAIL_BYTES = 2048
REBOOT_STARTS = 0.45
REBOOT_ENDS = 0.85

PROGRESS = "PROGRESS"
SUCCESS = "SUCCESS"
FAILURE = "FAILURE"
TIMEOUT = "TIMEOUT"
UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class UpgradeTask:
    """The upgrade of one device, as planned when it was dispatched. Moments are seconds since the epoch.

    Attributes:
        shown_build: the value of `last_build_number`; None in mode `command`.
        build: the build that runs after a success.
        command: the line given to the device, as its session echoes it.
        picked_up_at: when a worker takes it up.
        reason: the last line of the log if the upgrade failed.
        died_at: when the worker died; None while it lives.
    """

    celery_id: str
    ip: str
    mode: str
    shown_build: str | None
    build: str
    command: str
    dispatched_at: float
    picked_up_at: float
    ends_at: float
    outcome: str
    reason: str = ""
    died_at: float | None = None

    @property
    def reboot_starts_at(self) -> float:
        """When the device stops answering; never for an upgrade that fails before."""
        return self._moment(REBOOT_STARTS) if self.outcome != FAILURE else float("inf")

    @property
    def reboot_ends_at(self) -> float:
        """When the device answers again with the new build; never if it does not return."""
        return self._moment(REBOOT_ENDS) if self.outcome == SUCCESS else float("inf")

    def picked_up(self, now: float) -> bool:
        """Whether a worker started the task. A worker that died before never does."""
        return self._last_sign(now) >= self.picked_up_at

    def status(self, now: float) -> str:
        """Return the device's status; meaningful once picked up."""
        return self.outcome if self._last_sign(now) >= self.ends_at else PROGRESS

    def updated_at(self, now: float) -> float:
        """Return when the status was last written."""
        end = min(self._last_sign(now), self.ends_at)
        if end >= self.ends_at:
            return self.ends_at
        return self.picked_up_at + (end - self.picked_up_at) // LOG_INTERVAL_SECONDS * LOG_INTERVAL_SECONDS

    def device_acted(self, now: float) -> bool:
        """Whether the device began to reboot: from then on it continues without the worker."""
        reached = self.died_at is None or self.died_at >= self.reboot_starts_at
        return reached and now >= self.reboot_starts_at

    def log_tail(self, now: float) -> str:
        """Return the last 2 KB of the SSH session."""
        lines: list[str] = []
        size = 0
        for line in self._log_backwards(self.updated_at(now)):
            lines.append(line)
            size += len(line.encode()) + 1
            if size > LOG_TAIL_BYTES:
                break
        return "\n".join(reversed(lines)).encode()[-LOG_TAIL_BYTES:].decode(errors="replace")

    def _moment(self, fraction: float) -> float:
        return self.picked_up_at + fraction * (self.ends_at - self.picked_up_at)

    def _last_sign(self, now: float) -> float:
        return now if self.died_at is None else min(now, self.died_at)

    def _log_backwards(self, until: float) -> Iterator[str]:
        if until >= self.ends_at:
            yield f"[{_stamp(self.ends_at)}] {self._last_line()}"
        for number in range(int((until - self.picked_up_at) // LOG_INTERVAL_SECONDS), 0, -1):
            moment = self.picked_up_at + number * LOG_INTERVAL_SECONDS
            yield f"[{_stamp(moment)}] {self._progress_line(moment)}"
        yield "Do you want to continue? (y/n)y"
        yield "This operation will replace the current firmware version!"
        yield f"FSW # {self.command}"
        yield f"[{_stamp(self.picked_up_at)}] ssh admin@{self.ip} connected"
        yield f"[{_stamp(self.picked_up_at)}] task {self.celery_id} picked up"

    def _progress_line(self, moment: float) -> str:
        if self.outcome == FAILURE:
            return "Please wait..."
        if moment < self.reboot_starts_at:
            done = (moment - self.picked_up_at) / (self.reboot_starts_at - self.picked_up_at)
            if done < 0.8:
                return f"Get image from scp server ... {done / 0.8:.0%}"
            return "Verifying the integrity of the firmware image ..."
        if moment < self.reboot_ends_at:
            return f"device is rebooting, waiting for {self.ip}:22 ..."
        return "connected again, checking services ..."

    def _last_line(self) -> str:
        if self.outcome == SUCCESS:
            return f"get system status: running build {self.build}. Upgrade finished."
        return self.reason


def aggregate(statuses: list[str]) -> str:
    """Return a testbed's status from those of its devices.

    A device that was never upgraded counts as under way when another one of the testbed was.
    """
    known = [status for status in statuses if status != UNKNOWN]
    if not known:
        return UNKNOWN
    if PROGRESS in known:
        return PROGRESS
    if FAILURE in known or TIMEOUT in known:
        return FAILURE
    return SUCCESS if len(known) == len(statuses) else PROGRESS


def iso(moment: float) -> str:
    """Return `2026-05-28T18:14:19+00:00` for a moment in seconds since the epoch."""
    return datetime.fromtimestamp(int(moment), UTC).isoformat()


def _stamp(moment: float) -> str:
    minutes, seconds = divmod(int(moment), 60)
    return f"{minutes // 60 % 24:02}:{minutes % 60:02}:{seconds:02}"
