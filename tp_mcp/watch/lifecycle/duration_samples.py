"""What the end of a watch tells of how long such jobs take.

Only an end of which it is known when it was counts: by TP's own timestamps, or because the watch looked shortly before
it. A job that ended while nobody looked would count with the time until somebody did.
"""

from dataclasses import replace

from tp_mcp.watch.model.reading import Outcome
from tp_mcp.watch.model.watch import Watch

IN_TIME_INTERVALS = 2.0
"""How many intervals before an end was seen the look before it may lie."""

_RAN = frozenset({None, Outcome.PASSED, Outcome.FAILED})
"""Outcomes of jobs that did their work; a listing, or a run in which no test ran, says nothing of one that does."""


def timed(before: Watch, ended: Watch, now: float) -> Watch:
    """Return a watch whose job has just been seen done, with how long the job took in its reading, where that counts.

    Args:
        before: the watch as it stood at the look before.
        ended: the watch with the reading of the end.
        now: when the end was seen.

    """
    reading = ended.reading
    if reading is None:
        return ended
    took = reading.took_seconds
    if not ended.spec.history or reading.probable or reading.outcome not in _RAN:
        took = None
    elif took is None and now - _last_look(before) <= IN_TIME_INTERVALS * before.spec.interval_seconds:
        took = now - before.since
    return replace(ended, reading=replace(reading, took_seconds=took))


def _last_look(watch: Watch) -> float:
    return watch.since if watch.polled_at is None else watch.polled_at
