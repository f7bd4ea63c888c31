"""Records of the history: executions, upgrades and notes on failures, and the port that stores them."""

import json
import re
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import TypeAdapter

from tp_mcp.errors import StoreCorruptError
from tp_mcp.triage.recurrence import EarlierExecution
from tp_mcp.triage.report_parser import Outcome

TESTS_MAX = 50_000
"""Limit of the stored tests of one execution; an arbitrary selection of a larger one is stored."""

PACKED_MAX_BYTES = 64_000_000
"""Limit of the unpacked outcomes of one execution, in bytes; larger data was not written by this package."""

_OUTCOMES = TypeAdapter(dict[str, Outcome])
_NUMBER = re.compile(r"\d{1,12}")


@dataclass(frozen=True, slots=True)
class Run:
    """Result of one execution.

    Attributes:
        server: base URL of TP.
        exec_id: execution id.
        lab: testbed.
        build: build under test; empty if unknown.
        ended_at: time of its end, in seconds since the epoch.
        outcomes: outcome of each test, by id.
    """

    server: str
    exec_id: int
    lab: str
    build: str
    ended_at: float
    outcomes: Mapping[str, Outcome] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """An upgrade of a testbed.

    Attributes:
        server: base URL of TP.
        testbed: testbed.
        at: time that TP shows, in seconds since the epoch.
        build: installed build; empty if unknown.
    """

    server: str
    testbed: str
    at: float
    build: str


@dataclass(frozen=True, slots=True)
class Note:
    """A person's note on failures with one signature.

    Attributes:
        principal: author.
        server: base URL of TP.
        signature: id of the signature.
        text: text of the note.
        made_at: time of the note, in seconds since the epoch.
        until_build: build that ends the note; empty if none does.
        until_at: time that ends the note, in seconds since the epoch; None if none does.
    """

    principal: str
    server: str
    signature: str
    text: str
    made_at: float
    until_build: str = ""
    until_at: float | None = None

    def holds(self, *, build: str, now: float) -> bool:
        """Return whether the note is valid for a build under test; an unknown build never ends it."""
        if self.until_at is not None and now >= self.until_at:
            return False
        return not (self.until_build and build and reaches(build, self.until_build))


def reaches(build: str, other: str) -> bool:
    """Return whether a build is the other one or later; builds that are not numbers are only compared for equality."""
    if _NUMBER.fullmatch(build) and _NUMBER.fullmatch(other):
        return int(build) >= int(other)
    return build == other


def packed(outcomes: Mapping[str, Outcome]) -> bytes:
    """Return outcomes as stored bytes."""
    kept = dict(list(outcomes.items())[:TESTS_MAX])
    return zlib.compress(json.dumps(kept, separators=(",", ":")).encode("utf-8"), 6)


def unpacked(data: bytes) -> dict[str, Outcome]:
    """Return stored outcomes.

    Raises:
        StoreCorruptError: the data is damaged.
    """
    try:
        text = zlib.decompressobj().decompress(data, PACKED_MAX_BYTES)
        return _OUTCOMES.validate_json(text)
    except (zlib.error, ValueError):
        raise StoreCorruptError("An execution in the history cannot be read.") from None


class History(Protocol):
    """Stores results, upgrades, notes and reruns. Every method may raise StoreError."""

    async def add(self, run: Run, principal: str) -> None:
        """Store a result once, and let a principal see it."""
        ...

    async def known(self, server: str, exec_ids: Collection[int], principal: str) -> frozenset[int]:
        """Return the stored executions that a principal may see."""
        ...

    async def earlier(
        self, server: str, lab: str, *, before: int, principal: str, limit: int
    ) -> tuple[EarlierExecution, ...]:
        """Return a lab's executions with an id below `before` that a principal may see, the latest first."""
        ...

    async def one(self, server: str, exec_id: int, principal: str) -> EarlierExecution | None:
        """Return one execution; None if it is not stored or the principal may not see it."""
        ...

    async def add_upgrade(self, upgrade: Upgrade) -> None:
        """Store an upgrade; complete the build of a stored one."""
        ...

    async def build_at(self, server: str, testbed: str, at: float) -> str:
        """Return the build on a testbed at a time; empty if unknown."""
        ...

    async def note(self, note: Note) -> None:
        """Store a note; it replaces the principal's earlier one on the same signature.

        Raises:
            InputError: the principal has too many notes.
        """
        ...

    async def forget_note(self, principal: str, server: str, signature: str) -> bool:
        """Delete a note; return whether it existed."""
        ...

    async def notes(self, principal: str, server: str) -> tuple[Note, ...]:
        """Return a principal's notes, the newest first."""
        ...

    async def add_rerun(self, server: str, watch_id: str, of: int, *, now: float) -> None:
        """Store that a watched run repeats tests of an execution."""
        ...

    async def rerun_of(self, server: str, watch_id: str) -> int | None:
        """Return the execution whose tests a watched run repeats; None if it repeats none."""
        ...

    async def close(self) -> None:
        """Close the store for good."""
        ...
