"""The logs of executions, as far as they were seen: one growing file per execution.

    <directory>/446.json    how far it reaches, and who may read it
    <directory>/446.3.txt   the log itself; the number goes up when its middle is dropped

Several processes may add to one log: a lock on the directory lets one at a time. What was appended counts once the
first file says so, so that a process that dies in between leaves nothing half said.
"""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import anyio.to_thread
from pydantic import TypeAdapter, ValidationError

from tp_mcp.clock import Clock
from tp_mcp.results.log_room import LogRoom
from tp_mcp.results.shelf import DIRECTORY_MODE, FILE_MODE, digest_of, write_whole
from tp_mcp.results.stitching import ANEW, KNOWN_MAX_CHARACTERS, Known, stitch

logger = logging.getLogger(__name__)

WAITS_BYTES = 1_024
"""Bytes of a log that may wait for the next tail: TP shows 4 KB, and writing costs more than waiting."""

REMEMBERED_MAX = 10_000
"""Executions of which a process remembers how far their logs reach."""

READERS_MAX = 200
LOCK_TRIES = 20
LOCK_PAUSE_SECONDS = 0.01
_LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class LogLimits:
    """How much is kept of logs, and for how long.

    Attributes:
        head_bytes: how much of a log's beginning is kept.
        tail_bytes: how much of its end is kept at least.
        slack_bytes: by how much it may grow beyond both before its middle is dropped.
        all_bytes: most bytes of all logs.
        age_seconds: how long a log is kept that does not grow any more.

    """

    head_bytes: int = 500_000
    tail_bytes: int = 1_500_000
    slack_bytes: int = 500_000
    all_bytes: int = 512_000_000
    age_seconds: float = 14 * 86_400.0


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a log, as TP shows it.

    Attributes:
        text: the last 4 KB.
        size: bytes of the whole log; None where TP does not tell.
        final: whether the run has ended, so that nothing follows.

    """

    text: str
    size: int | None
    final: bool


@dataclass(frozen=True, slots=True)
class KeptLog:
    """What is kept of a log.

    Attributes:
        text: whole lines, with a mark wherever something is missing.
        generation: changes when places in the text change.
        size: bytes of TP's log, as last seen.
        missing: bytes that TP never showed.
        dropped: bytes that were dropped from its middle.

    """

    text: str
    generation: int
    size: int
    missing: int
    dropped: int


@dataclass(frozen=True, slots=True)
class _State:
    end: int = 0
    whole_line: bool = True
    final: bool = False
    missing: int = 0
    dropped: int = 0
    length: int = 0
    head: int = 0
    mark: int = 0
    generation: int = 0
    readers: tuple[str, ...] = ()


_STATE = TypeAdapter(_State)


class _Remembered(NamedTuple):
    """What a process knows of a log without looking: how far it reaches, and the tail that was last looked at."""

    end: int
    final: bool
    text_hash: int


class KeptLogs:
    """Keeps the logs of one TP's executions."""

    def __init__(
        self, directory: Path, server: str, clock: Clock, mask: Callable[[str], str], limits: LogLimits | None = None
    ) -> None:
        """Prepare; the directory is made when something is first kept.

        Args:
            directory: where the logs of all TPs lie.
            server: the base URL of this one.
            clock: the time.
            mask: takes secrets, and what no reader sees, out of what is written.
            limits: how much is kept.

        """
        self._root = directory
        self._directory = directory / digest_of(server)
        self._clock = clock
        self._mask = mask
        self._limits = limits or LogLimits()
        self._room = LogRoom(directory, clock, all_bytes=self._limits.all_bytes, age_seconds=self._limits.age_seconds)
        self._remembered: dict[int, _Remembered] = {}
        # Threads of one process that try for one lock would only keep each other, and the rest of it, from working.
        self._writing = anyio.CapacityLimiter(1)

    async def take_in(self, exec_id: int, tail: Tail, *, reader: str = "") -> None:
        """Add what a tail has that is not known yet; what cannot be written is logged, and comes with a later tail.

        Args:
            exec_id: the execution.
            tail: the end of its log.
            reader: a principal who has seen this tail, and may read what is kept; nothing waits then.

        """
        if not reader and not self._is_news(exec_id, tail):
            return
        try:
            await anyio.to_thread.run_sync(self._take_in, exec_id, tail, reader, limiter=self._writing)
        except OSError as error:
            logger.warning("The log of execution %d could not be kept: %s", exec_id, error)

    async def get(self, exec_id: int) -> KeptLog | None:
        """Return what is kept of a log, with what this process was taking in of it; None where nothing is kept."""
        return await anyio.to_thread.run_sync(self._get, exec_id, limiter=self._writing)

    async def admits(self, exec_id: int, principal: str) -> bool:
        """Return whether a principal has seen this log before."""
        state = await anyio.to_thread.run_sync(self._load, exec_id)
        return state is not None and digest_of(principal) in state.readers

    def _is_news(self, exec_id: int, tail: Tail) -> bool:
        """Return whether a tail has to be looked at: it has much that is new, or is the last one, or an odd one."""
        before = self._remembered.get(exec_id)
        if before is None:
            return bool(tail.text)
        if tail.final and not before.final:
            return True
        if before.text_hash == hash(tail.text):
            return False
        return tail.final or tail.size is None or not before.end <= tail.size <= before.end + WAITS_BYTES

    def _take_in(self, exec_id: int, tail: Tail, reader: str) -> None:
        self._directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        with _locked(self._directory / _LOCK) as locked:
            if not locked:
                return
            self._room.make()
            before = self._load(exec_id)
            state = self._stitched(exec_id, before or _State(), tail)
            who = digest_of(reader) if reader else ""
            if who and who not in state.readers:
                state = replace(state, readers=(*state.readers, who)[-READERS_MAX:])
            if state != before and (before is not None or state.length or who):
                self._save(exec_id, state, before)
                self._room.added(state.length - (0 if before is None else before.length))
        self._remembered.pop(exec_id, None)
        self._remembered[exec_id] = _Remembered(state.end, state.final, hash(tail.text))
        if len(self._remembered) > REMEMBERED_MAX:
            del self._remembered[next(iter(self._remembered))]

    def _stitched(self, exec_id: int, state: _State, tail: Tail) -> _State:
        path = self._text_path(exec_id, state.generation)
        last = _read(path, state.length, last=KNOWN_MAX_CHARACTERS).decode("utf-8", "replace")
        known = Known(end=state.end, last=last, whole_line=state.whole_line)
        added = stitch(known, tail.text, tail.size, self._mask, final=tail.final)
        if added is not None and added.text.startswith(ANEW):
            # What is kept may hold a secret that was learnt since, and only therefore differ.
            known = replace(known, last=self._mask(last))
            added = stitch(known, tail.text, tail.size, self._mask, final=tail.final)
        if added is None:
            return replace(state, final=state.final or (tail.final and tail.size == state.end))
        data = added.text.encode("utf-8", "replace")
        if data:
            _append(path, state.length, data)
        state = replace(
            state,
            end=added.end,
            whole_line=added.whole_line,
            final=tail.final,
            missing=state.missing + added.missing,
            length=state.length + len(data),
        )
        limits = self._limits
        if state.length <= limits.head_bytes + limits.tail_bytes + limits.slack_bytes:
            return state
        return self._without_middle(exec_id, state, _read(path, state.length))

    def _without_middle(self, exec_id: int, state: _State, data: bytes) -> _State:
        head = state.head or data.rfind(b"\n", 0, self._limits.head_bytes) + 1
        begin = data.find(b"\n", len(data) - self._limits.tail_bytes) + 1
        dropped = state.dropped + begin - head - state.mark
        mark = f"[... {dropped:,} bytes were dropped here: only so much of a log is kept ...]\n".encode()
        text = data[:head] + mark + data[begin:]
        write_whole(self._text_path(exec_id, state.generation + 1), text, at=self._clock.now())
        return replace(
            state,
            generation=state.generation + 1,
            length=len(text),
            head=head,
            mark=len(mark),
            dropped=dropped,
        )

    def _save(self, exec_id: int, state: _State, before: _State | None) -> None:
        write_whole(self._state_path(exec_id), _STATE.dump_json(state), at=self._clock.now())
        if before is None or state.generation == before.generation:
            return
        for path in self._directory.glob(f"{exec_id}.*.txt"):
            if path != self._text_path(exec_id, state.generation):
                path.unlink(missing_ok=True)

    def _load(self, exec_id: int) -> _State | None:
        try:
            return _STATE.validate_json(self._state_path(exec_id).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError):
            logger.warning("What is kept of the log of execution %d cannot be read", exec_id, exc_info=True)
            return None

    def _get(self, exec_id: int) -> KeptLog | None:
        # Its middle may be dropped between the two files: then the second look finds the new one.
        for _ in range(2):
            state = self._load(exec_id)
            if state is None or not state.length:
                return None
            data = _read(self._text_path(exec_id, state.generation), state.length)
            if data:
                text = data.decode("utf-8", "replace")
                return KeptLog(text, state.generation, state.end, state.missing, state.dropped)
        return None

    def _state_path(self, exec_id: int) -> Path:
        return self._directory / f"{exec_id}.json"

    def _text_path(self, exec_id: int, generation: int) -> Path:
        return self._directory / f"{exec_id}.{generation}.txt"


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold a lock on a file; False where another process keeps it: what is skipped comes with a later tail."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE)
    try:
        for _ in range(LOCK_TRIES):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(LOCK_PAUSE_SECONDS)
            else:
                yield True
                return
        yield False
    finally:
        os.close(file)


def _append(path: Path, length: int, data: bytes) -> None:
    """Write behind the part that counts; what a process that died left behind that is overwritten."""
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE), "r+b") as file:
        file.truncate(length)
        file.seek(length)
        file.write(data)


def _read(path: Path, length: int, *, last: int | None = None) -> bytes:
    """Return the part that counts, or the last bytes of it."""
    begin = 0 if last is None else max(length - last, 0)
    try:
        with path.open("rb") as file:
            file.seek(begin)
            return file.read(length - begin)
    except FileNotFoundError:
        return b""
