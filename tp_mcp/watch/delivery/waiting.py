"""Waits: for the end of a watch, its first failure, or any change."""

import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, assert_never

from tp_mcp.clock import Clock
from tp_mcp.watch.delivery.change_feed import ChangeFeed
from tp_mcp.watch.model.reading import sign_of
from tp_mcp.watch.model.watch import Watch

PROGRESS_SECONDS = 10.0
"""Longest time between two progress reports to a call that waits."""


class Until(StrEnum):
    """The condition of a wait; the end of a watch always meets it."""

    TERMINAL = "terminal"
    """The watch has ended."""
    FIRST_FAILURE = "first_failure"
    """Some part of the job, a test or a device, has failed, although the job goes on."""
    CHANGE = "change"
    """The watch has visibly changed since the wait began: its phase, counts or advisory."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """A wait for the first of some watches, as they are at its beginning, to meet a condition."""

    watches: tuple[Watch, ...]
    until: Until = Until.TERMINAL


class Report(Protocol):
    """Reports progress to a caller that waits."""

    async def __call__(self, *watches: Watch) -> None:
        """Report the present state of the watches."""
        ...


def met(until: Until, fingerprint: str, watch: Watch) -> bool:
    """Return whether a watch meets a condition; `fingerprint` is its own at the beginning of the wait."""
    if watch.state.ended:
        return True
    match until:
        case Until.TERMINAL:
            return False
        case Until.FIRST_FAILURE:
            return watch.reading is not None and watch.reading.broken
        case Until.CHANGE:
            return fingerprint_of(watch) != fingerprint
        case _:
            assert_never(until)


def fingerprint_of(watch: Watch) -> str:
    """Return a short text that differs if a reader would notice a change of the watch."""
    # A sign of life changes with nearly every poll and is no news for a reader.
    state: tuple[object, ...] = (watch.state, watch.advisory, watch.missing_polls > 0)
    reading = watch.reading
    visible = () if reading is None else (reading.verdict, reading.phase, reading.counts, reading.detail)
    return sign_of(repr((*state, *visible)))


async def wait_for_first(
    watch_ids: Sequence[str],
    read: Callable[[str], Awaitable[Watch]],
    *,
    feed: ChangeFeed,
    clock: Clock,
    seconds: float,
    until: Until,
    report: Report | None,
) -> tuple[Watch, ...]:
    """Return watches, as `read` finds them, when the first of them meets a condition, or after a time limit.

    Each watch is given once. Changes count from the beginning of the wait. `report` is called at once, at each change,
    and at least every `PROGRESS_SECONDS`; the first time sooner.
    """
    now = clock.now()
    deadline, report_at = now + seconds, now + _first_report(watch_ids[0])
    fingerprints: tuple[str, ...] = ()
    ended: dict[str, Watch] = {}
    while True:
        with feed.changes_of(*watch_ids) as change:
            # An end that was just published is not read again: reading would wait behind other writes.
            watches = tuple([ended.get(watch_id) or await read(watch_id) for watch_id in watch_ids])
            fingerprints = fingerprints or tuple(map(fingerprint_of, watches))
            if any(met(until, before, watch) for before, watch in zip(fingerprints, watches, strict=True)):
                return watches
            if report is not None:
                await report(*watches)
            left = deadline - clock.now()
            if left <= 0:
                return watches
            await feed.wait(change, min(left, max(report_at - clock.now(), 0.0)))
            ended = change.ended
            if clock.now() >= report_at:
                report_at = clock.now() + PROGRESS_SECONDS


def _first_report(watch_id: str) -> float:
    # Many calls may begin to wait at once: if all reported in the same moment, an end would be delayed.
    return PROGRESS_SECONDS * (0.5 + zlib.crc32(watch_id.encode()) / 2**33)
