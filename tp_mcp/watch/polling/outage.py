"""Outages of TP, tracked for all targets together, and the time of the next attempt."""

import logging
import random
from dataclasses import dataclass, field
from typing import TypeGuard

from tp_mcp.errors import TpError, TpNotAuthenticatedError, TpServerFaultError, TpUnreachableError
from tp_mcp.watch.polling.target import Target, TargetKey

logger = logging.getLogger(__name__)

BACKOFF_MAX_SECONDS = 300.0
FAILED_TARGETS_TO_BE_AWAY = 2
"""Number of different targets that have to fail in a row before TP counts as away; one target may be slow by itself."""

LOGGED_FAILURES = 2
"""Number of consecutive failures after which one target is logged, while TP answers others."""

_BACKOFF_MAX_DOUBLINGS = 10


def backoff(failures: int, interval: float, rng: random.Random) -> float:
    """Return the seconds to wait after consecutive failures: full jitter, but at least the interval."""
    longest = min(interval * 2 ** min(failures, _BACKOFF_MAX_DOUBLINGS), BACKOFF_MAX_SECONDS)
    return max(interval, rng.uniform(0.0, longest))


def is_outage(outcome: object) -> TypeGuard[TpError]:
    """Return whether a poll failed because of TP as a whole, or because of our login, and not because of one job."""
    # A proxy in front of a TP that is down answers for it with a 5xx.
    return isinstance(outcome, TpUnreachableError | TpServerFaultError | TpNotAuthenticatedError)


@dataclass(slots=True)
class Outage:
    """An outage of TP, as this process sees it. One target at a time is polled then, as a probe, at `retry_at`."""

    rng: random.Random
    away: bool = False
    retry_at: float = 0.0
    probe: TargetKey | None = None
    _rounds: int = 0
    _failed: set[TargetKey] = field(default_factory=set)

    def allows_poll(self, key: TargetKey, now: float, *, poll_timeout: float) -> bool:
        """Return whether a due target may be polled; during an outage it becomes the probe."""
        if not self.away:
            return True
        if now < self.retry_at:
            return False
        self.probe, self.retry_at = key, now + poll_timeout
        return True

    def suspends(self, key: TargetKey) -> bool:
        """Return whether a poll that waited for its turn must be dropped: the outage began in between."""
        return self.away and key != self.probe

    def failed(self, target: Target, failure: TpError, *, now: float, intervals: list[float], default: float) -> None:
        """Register a poll that TP did not answer, and log the news.

        `intervals` has one for each target that this process polls, in seconds; `default` stands in where there is
        none.
        """
        self._failed.add(target.key)
        refused = isinstance(failure, TpNotAuthenticatedError)
        begins = not self.away and len(self._failed) >= min(len(intervals), FAILED_TARGETS_TO_BE_AWAY)
        if begins:
            logger.warning("%s: %s", "Cannot log in to TP" if refused else "TP does not answer", failure)
        elif not self.away and target.failures == LOGGED_FAILURES:
            logger.warning("%s is not answered, while others are: %s", target.key.text, failure)
        if begins or (self.away and target.key == self.probe):
            self._rounds += 1
            self.retry_at = now + backoff(self._rounds, min(intervals, default=default), self.rng)
            self.away, self.probe = True, None

    def answered(self, target: Target, outcome: object) -> bool:
        """Record an answer from TP, even an error; return whether that ends an outage."""
        was_away, self.away = self.away, False
        self.probe, self._rounds = None, 0
        self._failed.clear()
        if was_away:
            logger.warning("TP answers again")
        elif target.failures >= LOGGED_FAILURES and not isinstance(outcome, TpError):
            logger.warning("%s is answered again", target.key.text)
        return was_away
