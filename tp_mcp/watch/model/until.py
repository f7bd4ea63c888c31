"""What a wait is for: the end of a watch, its first failure, or any change. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from tp_mcp.watch.model.reading import sign_of
from tp_mcp.watch.model.watch import Watch


class Until(StrEnum):
    """When a wait is over; the end of a watch always counts."""

    TERMINAL = "terminal"
    """It has ended."""
    FIRST_FAILURE = "first_failure"
    """Some part of it, a test or a device, has failed already, although it goes on."""
    CHANGE = "change"
    """It stands otherwise than when the wait began: another phase, other counts, an advisory."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """What a call waits for, or would: the first of some watches to meet a condition.

    Attributes:
        watches: as they stood when the wait began.
        until: what the wait is for.

    """

    watches: tuple[Watch, ...]
    until: Until = Until.TERMINAL


def met(until: Until, stood: str, watch: Watch) -> bool:
    """Return whether a wait is over that began when the watch stood so, as `stand_of` tells it."""
    if watch.state.ended:
        return True
    match until:
        case Until.TERMINAL:
            return False
        case Until.FIRST_FAILURE:
            return watch.reading is not None and watch.reading.broken
        case Until.CHANGE:
            return stand_of(watch) != stood
        case _:
            assert_never(until)


def stand_of(watch: Watch) -> str:
    """Return a short text that differs where a reader would notice that a watch stands otherwise."""
    # A sign of life changes with nearly every poll and tells a reader nothing new.
    stand: tuple[object, ...] = (watch.state, watch.advisory, watch.missing_polls > 0)
    reading = watch.reading
    told = () if reading is None else (reading.verdict, reading.phase, reading.counts, reading.detail)
    return sign_of(repr((*stand, *told)))
