"""What is kept of an execution, and of what a person said of a failure."""

import json
import re
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import TypeAdapter

from tp_mcp.errors import StoreCorruptError
from tp_mcp.triage.past import PastExecution
from tp_mcp.triage.report_parser import Outcome

TESTS_MAX = 50_000
"""Most tests of one execution that are kept; which are left out is not defined."""

PACKED_MAX_BYTES = 64_000_000
"""Largest outcomes of one execution that are unpacked again: what is larger was not written by us."""

_OUTCOMES = TypeAdapter(dict[str, Outcome])
_NUMBER = re.compile(r"\d{1,12}")


@dataclass(frozen=True, slots=True)
class Run:
    """What one execution came to.

    Attributes:
        server: the TP's base URL.
        exec_id: its number there.
        lab: where it ran.
        build: the build under test; empty where it is not known.
        ended_at: seconds since the epoch.
        outcomes: by test.

    """

    server: str
    exec_id: int
    lab: str
    build: str
    ended_at: float
    outcomes: Mapping[str, Outcome] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A testbed was upgraded.

    Attributes:
        server: the TP's base URL.
        testbed: the testbed, which has its lab's name.
        at: when, in seconds since the epoch, as TP shows it.
        build: the build that runs since; empty where it is not known.

    """

    server: str
    testbed: str
    at: float
    build: str


@dataclass(frozen=True, slots=True)
class Note:
    """What a person said of failures with one signature.

    Attributes:
        principal: who said it.
        server: the TP's base URL.
        signature: the signature's id.
        text: what was said.
        made_at: when, in seconds since the epoch.
        until_build: it holds for builds before this one; empty where no build ends it.
        until_at: it holds until then; None where no time ends it.

    """

    principal: str
    server: str
    signature: str
    text: str
    made_at: float
    until_build: str = ""
    until_at: float | None = None

    def holds(self, *, build: str, now: float) -> bool:
        """Return whether it holds for a build under test; a build that is not known ends nothing."""
        if self.until_at is not None and now >= self.until_at:
            return False
        return not (self.until_build and build and reaches(build, self.until_build))


def reaches(build: str, other: str) -> bool:
    """Return whether a build is the other one or a later one; builds that are no numbers only where they are equal."""
    if _NUMBER.fullmatch(build) and _NUMBER.fullmatch(other):
        return int(build) >= int(other)
    return build == other


def packed(outcomes: Mapping[str, Outcome]) -> bytes:
    """Return outcomes as they are kept."""
    kept = dict(list(outcomes.items())[:TESTS_MAX])
    return zlib.compress(json.dumps(kept, separators=(",", ":")).encode("utf-8"), 6)


def unpacked(data: bytes) -> dict[str, Outcome]:
    """Return outcomes that were kept.

    Raises:
        StoreCorruptError: they cannot be read.

    """
    try:
        text = zlib.decompressobj().decompress(data, PACKED_MAX_BYTES)
        return _OUTCOMES.validate_json(text)
    except (zlib.error, ValueError):
        raise StoreCorruptError("An execution in the history cannot be read.") from None


class History(Protocol):
    """Keeps outcomes, upgrades, notes and reruns. Every method may raise StoreError."""

    async def add(self, run: Run, principal: str) -> None:
        """Keep what an execution came to, once, however often it is told; let a principal see it."""
        ...

    async def known(self, server: str, exec_ids: Collection[int], principal: str) -> frozenset[int]:
        """Return those executions that are kept and that the principal may see."""
        ...

    async def earlier(
        self, server: str, lab: str, *, before: int, principal: str, limit: int
    ) -> tuple[PastExecution, ...]:
        """Return a lab's executions with a lower number than `before` that a principal may see, the latest first."""
        ...

    async def one(self, server: str, exec_id: int, principal: str) -> PastExecution | None:
        """Return one execution; None where it is not kept, or the principal may not see it."""
        ...

    async def add_upgrade(self, upgrade: Upgrade) -> None:
        """Keep that a testbed was upgraded; of one that is kept already the build is filled in."""
        ...

    async def build_at(self, server: str, testbed: str, at: float) -> str:
        """Return the build that ran on a testbed at a time; empty where it is not known."""
        ...

    async def note(self, note: Note) -> None:
        """Keep a note, in place of the principal's earlier one on the same signature.

        Raises:
            InputError: the principal has too many.

        """
        ...

    async def forget_note(self, principal: str, server: str, signature: str) -> bool:
        """Drop a note; return whether there was one."""
        ...

    async def notes(self, principal: str, server: str) -> tuple[Note, ...]:
        """Return a principal's notes, the newest first."""
        ...

    async def add_rerun(self, server: str, watch_id: str, of: int, *, now: float) -> None:
        """Keep that a watched run repeats tests of an execution."""
        ...

    async def rerun_of(self, server: str, watch_id: str) -> int | None:
        """Return the execution that a watched run repeats tests of."""
        ...

    async def close(self) -> None:
        """Close it; it cannot be used afterwards."""
        ...
