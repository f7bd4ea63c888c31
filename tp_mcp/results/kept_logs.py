"""Logs of executions, as far as TP showed them: one growing blob per execution; its group is the TP.

    446.json    how far it reaches, and who may read it
    446.3.txt   the log itself; the number goes up when its middle is dropped

Several processes may add to one log, one at a time: they lock the group. Appended text counts once the first file says
so, so that a process that dies in between leaves no half-written line.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import anyio.to_thread
from pydantic import TypeAdapter, ValidationError

from tp_mcp.errors import StoreError
from tp_mcp.results.blobs import Blobs, digest_of
from tp_mcp.results.stitching import KNOWN_MAX_CHARACTERS, RESTART, Known, stitch

logger = logging.getLogger(__name__)

WAITS_BYTES = 1_024
"""New bytes of a log that may wait for a later tail: TP shows 4 KB, and a write costs more than the delay."""

REMEMBERED_MAX = 10_000
"""Executions whose log's length a process remembers."""

READERS_MAX = 200
"""Principals who may read one log; the earliest are forgotten."""


@dataclass(frozen=True, slots=True)
class LogLimits:
    """How much is kept of one log.

    Attributes:
        tail_bytes: how much of its end is kept at least.
        slack_bytes: by how much it may grow beyond both before its middle is dropped.
    """

    head_bytes: int = 500_000
    tail_bytes: int = 1_500_000
    slack_bytes: int = 500_000


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a log, as TP shows it.

    Attributes:
        text: the last 4 KB.
        size: bytes of the whole log; None where TP does not say.
        final: whether the run has ended, so that nothing follows.
    """

    text: str
    size: int | None
    final: bool


@dataclass(frozen=True, slots=True)
class KeptLog:
    """A kept log.

    Attributes:
        text: whole lines, with a mark at each gap.
        generation: changes when places in the text change.
        size: bytes of TP's log, at the last look.
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
    """A process's memory of a log: its length, and the last tail."""

    end: int
    final: bool
    text_hash: int


class KeptLogs:
    """Keeps the logs of one TP's executions."""

    def __init__(self, blobs: Blobs, server: str, mask: Callable[[str], str], limits: LogLimits | None = None) -> None:
        """Prepare.

        Args:
            server: the base URL of this TP.
            mask: removes secrets and invisible characters from texts that are stored.
        """
        self._blobs = blobs
        self._group = server
        self._mask = mask
        self._limits = limits or LogLimits()
        self._remembered: dict[int, _Remembered] = {}
        # Threads of one process that try for one lock would only keep each other, and the rest of it, from working.
        self._writing = anyio.CapacityLimiter(1)

    async def take_in(self, exec_id: int, tail: Tail, *, reader: str = "") -> None:
        """Add the new part of a tail. A failed write is logged, and the part comes again with a later tail.

        Args:
            reader: a principal who has seen this tail, and may read the log; nothing waits then.
        """
        if not reader and not self._is_news(exec_id, tail):
            return
        try:
            await anyio.to_thread.run_sync(self._take_in, exec_id, tail, reader, limiter=self._writing)
        except StoreError as error:
            logger.warning("The log of execution %d could not be kept: %s", exec_id, error)

    async def get(self, exec_id: int) -> KeptLog | None:
        """Return a kept log, after the tails that this process is adding; None where there is none."""
        return await anyio.to_thread.run_sync(self._get, exec_id, limiter=self._writing)

    async def admits(self, exec_id: int, principal: str) -> bool:
        """Return whether a principal has seen this log before."""
        state = await anyio.to_thread.run_sync(self._load, exec_id)
        return state is not None and digest_of(principal) in state.readers

    def _is_news(self, exec_id: int, tail: Tail) -> bool:
        """Return whether a tail has to be processed: it has many new bytes, or is the last one, or an odd one."""
        before = self._remembered.get(exec_id)
        if before is None:
            return bool(tail.text)
        if tail.final and not before.final:
            return True
        if before.text_hash == hash(tail.text):
            return False
        return tail.final or tail.size is None or not before.end <= tail.size <= before.end + WAITS_BYTES

    def _take_in(self, exec_id: int, tail: Tail, reader: str) -> None:
        with self._blobs.locked(self._group) as locked:
            if not locked:
                return  # a later tail has it too
            self._blobs.make_room(self._group, len(tail.text.encode("utf-8", "replace")))
            before = self._load(exec_id)
            state = self._stitched(exec_id, before or _State(), tail)
            digest = digest_of(reader) if reader else ""
            if digest and digest not in state.readers:
                state = replace(state, readers=(*state.readers, digest)[-READERS_MAX:])
            if state != before and (before is not None or state.length or digest):
                self._save(exec_id, state, before)
        self._remembered.pop(exec_id, None)
        self._remembered[exec_id] = _Remembered(state.end, state.final, hash(tail.text))
        if len(self._remembered) > REMEMBERED_MAX:
            del self._remembered[next(iter(self._remembered))]

    def _stitched(self, exec_id: int, state: _State, tail: Tail) -> _State:
        begin = max(state.length - KNOWN_MAX_CHARACTERS, 0)
        last = self._text(exec_id, state, begin=begin).decode("utf-8", "replace")
        known = Known(end=state.end, last=last, whole_line=state.whole_line)
        added = stitch(known, tail.text, tail.size, self._mask, final=tail.final)
        if added is not None and added.text.startswith(RESTART):
            # The stored lines may differ only by a secret that was learnt since.
            known = replace(known, last=self._mask(last))
            added = stitch(known, tail.text, tail.size, self._mask, final=tail.final)
        if added is None:
            return replace(state, final=state.final or (tail.final and tail.size == state.end))
        data = added.text.encode("utf-8", "replace")
        if data:
            # Overwrites the leftovers of a process that died.
            self._blobs.append(self._group, _text_name(exec_id, state), data, at=state.length)
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
        return self._without_middle(exec_id, state, self._text(exec_id, state))

    def _without_middle(self, exec_id: int, state: _State, data: bytes) -> _State:
        head = state.head or data.rfind(b"\n", 0, self._limits.head_bytes) + 1
        begin = data.find(b"\n", len(data) - self._limits.tail_bytes) + 1
        dropped = state.dropped + begin - head - state.mark
        mark = f"[... {dropped:,} bytes were dropped here: only so much of a log is kept ...]\n".encode()
        text = data[:head] + mark + data[begin:]
        state = replace(
            state, generation=state.generation + 1, length=len(text), head=head, mark=len(mark), dropped=dropped
        )
        self._blobs.write(self._group, _text_name(exec_id, state), text)
        return state

    def _save(self, exec_id: int, state: _State, before: _State | None) -> None:
        self._blobs.write(self._group, f"{exec_id}.json", _STATE.dump_json(state))
        if before is not None and state.generation != before.generation:
            names = frozenset({f"{exec_id}.json", _text_name(exec_id, state)})
            self._blobs.remove_others(self._group, f"{exec_id}.json", but_for=names)

    def _load(self, exec_id: int) -> _State | None:
        try:
            data = self._blobs.read(self._group, f"{exec_id}.json")
            return None if data is None else _STATE.validate_json(data)
        except (StoreError, ValidationError):
            logger.warning("The kept log of execution %d cannot be read", exec_id, exc_info=True)
            return None

    def _get(self, exec_id: int) -> KeptLog | None:
        # Its middle may be dropped between the two reads: then the second look finds the new text.
        for _ in range(2):
            state = self._load(exec_id)
            if state is None or not state.length:
                return None
            data = self._text(exec_id, state)
            if data:
                text = data.decode("utf-8", "replace")
                return KeptLog(text, state.generation, state.end, state.missing, state.dropped)
        return None

    def _text(self, exec_id: int, state: _State, *, begin: int = 0) -> bytes:
        """Return the part of the text that counts, from a byte on."""
        return self._blobs.read(self._group, _text_name(exec_id, state), begin=begin, end=state.length) or b""


def _text_name(exec_id: int, state: _State) -> str:
    return f"{exec_id}.{state.generation}.txt"
