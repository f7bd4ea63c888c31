"""What a wait is for: the end of a watch, its first failure, or any change. Pure."""

from enum import StrEnum
from typing import assert_never

from tp_mcp.watch.states import Watch


class Until(StrEnum):
    """When a wait is over; the end of a watch always counts."""

    TERMINAL = "terminal"
    """It has ended."""
    FIRST_FAILURE = "first_failure"
    """Some part of it, a test or a device, has failed already, although it goes on."""
    CHANGE = "change"
    """It stands otherwise than when the wait began: another phase, other counts, an advisory."""


def met(until: Until, before: Watch, watch: Watch) -> bool:
    """Return whether a wait is over that began when the watch stood as `before`."""
    if watch.state.ended:
        return True
    match until:
        case Until.TERMINAL:
            return False
        case Until.FIRST_FAILURE:
            return watch.reading is not None and watch.reading.broken
        case Until.CHANGE:
            return _stand(before) != _stand(watch)
        case _:
            assert_never(until)


def _stand(watch: Watch) -> tuple[object, ...]:
    # A sign of life changes with nearly every poll and tells a reader nothing new.
    stand: tuple[object, ...] = (watch.state, watch.advisory, watch.missing_polls > 0)
    reading = watch.reading
    return stand if reading is None else (*stand, reading.verdict, reading.phase, reading.counts, reading.detail)
