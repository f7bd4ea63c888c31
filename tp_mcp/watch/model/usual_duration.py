"""The usual duration of a kind of job, estimated from past jobs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tp_mcp.results.text import format_duration

MIN_SAMPLES = 3
"""Minimum number of past jobs for an estimate."""

_COARSE_FROM_SECONDS = 60.0
_FINE_STEP_SECONDS = 5.0
_COARSE_STEP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Usual:
    """The usual duration of a kind of job: half of the jobs, or nine of ten, took no longer."""

    median_seconds: float
    p90_seconds: float


def usual_of(seconds: Sequence[float]) -> Usual | None:
    """Return the usual duration from those of past jobs; None if there are fewer than `MIN_SAMPLES`."""
    if len(seconds) < MIN_SAMPLES:
        return None
    rank = math.ceil(len(seconds) * 0.9)
    return Usual(median_seconds=median(seconds), p90_seconds=sorted(seconds)[rank - 1])


def usual_words(usual: Usual) -> str:
    """Return a usual duration as a sentence: "Usually 4 min, 9 of 10 within 6 min."."""
    return f"Usually {format_duration(usual.median_seconds)}, 9 of 10 within {format_duration(usual.p90_seconds)}."


def about_words(seconds: float) -> str:
    """Return an approximate duration: "about 2 min 30 s"."""
    step = _FINE_STEP_SECONDS if seconds < _COARSE_FROM_SECONDS else _COARSE_STEP_SECONDS
    return f"about {format_duration(math.ceil(seconds / step) * step)}"


def left_words(usual: Usual, elapsed: float) -> str:
    """Return the expected rest after `elapsed` seconds: "about 2 min 30 s left"."""
    left = usual.median_seconds - elapsed
    if left > 0:
        return f"{about_words(left)} left"
    if elapsed <= usual.p90_seconds:
        return f"longer than the usual {format_duration(usual.median_seconds)}"
    return "longer than 9 of 10 before it"
