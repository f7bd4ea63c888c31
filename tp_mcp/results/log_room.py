"""Room for the logs that are kept: what is too old, or too much, goes."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from tp_mcp.clock import Clock

LOOK_SECONDS = 3_600.0
"""After this the files are looked at again, however little was added here: other processes add to them too."""

ADDED_SHARE = 0.25
"""Of the room that a look found, what this process adds before it looks again; looking costs a stat of each file."""

LEFT_SHARE = 0.1
"""Of all bytes, what is free once the oldest had to go, so that not every log that follows lets some go again."""


@dataclass(slots=True)
class _Log:
    seen_at: float = 0.0
    octets: int = 0
    paths: list[Path] = field(default_factory=list)


class LogRoom:
    """Drops logs, each with all its files, of every TP."""

    def __init__(self, root: Path, clock: Clock, *, all_bytes: int, age_seconds: float) -> None:
        """Prepare.

        Args:
            root: where there is a directory for each TP, and in it the files of its executions, `446.json` and so on.
            clock: the time.
            all_bytes: most bytes of all logs.
            age_seconds: how long a log is kept that does not grow any more.

        """
        self._root = root
        self._clock = clock
        self._all_bytes = all_bytes
        self._age_seconds = age_seconds
        self._look_at = -inf
        self._may_add = 0.0

    def added(self, octets: int) -> None:
        """Take in how many bytes were added here."""
        self._may_add -= octets

    def make(self) -> None:
        """Drop what is too old, and the oldest where there is too much; where that may be so by now.

        Raises:
            OSError: a file could not be dropped.

        """
        now = self._clock.now()
        if now < self._look_at and self._may_add > 0:
            return
        logs = sorted(_logs(self._root), key=lambda log: log.seen_at)
        total = sum(log.octets for log in logs)
        most = self._all_bytes if total <= self._all_bytes else self._all_bytes * (1 - LEFT_SHARE)
        for log in logs:
            if log.seen_at >= now - self._age_seconds and total <= most:
                break
            total -= log.octets
            for path in log.paths:
                path.unlink(missing_ok=True)
        self._look_at, self._may_add = now + LOOK_SECONDS, (self._all_bytes - total) * ADDED_SHARE


def _logs(root: Path) -> Iterator[_Log]:
    for directory in root.iterdir():
        logs: dict[str, _Log] = {}
        for entry in os.scandir(directory):
            number = entry.name.partition(".")[0]
            if not number:
                continue  # the lock, and what is not written whole yet
            try:
                status = entry.stat()
            except FileNotFoundError:
                continue  # another process dropped it meanwhile
            log = logs.setdefault(number, _Log())
            is_state = entry.name.endswith(".json")
            # A state goes first, and tells the time: a text without one is as good as none.
            log.paths.insert(0 if is_state else len(log.paths), Path(entry.path))
            log.seen_at = status.st_mtime if is_state or len(log.paths) == 1 else log.seen_at
            log.octets += status.st_size
        yield from logs.values()
