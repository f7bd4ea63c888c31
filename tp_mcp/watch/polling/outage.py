"""Whether TP is away, for all targets at once, and when to ask it again."""

import logging
import random
from dataclasses import dataclass, field
from typing import TypeGuard

from tp_mcp.errors import TpError, TpNotAuthenticatedError, TpServerFaultError, TpUnreachableError
from tp_mcp.watch.lifecycle import state_machine
from tp_mcp.watch.model.watch import Advisory, Step, Watch
from tp_mcp.watch.polling.target import Target, TargetKey

logger = logging.getLogger(__name__)

BACKOFF_MAX_SECONDS = 300.0
FAILED_TARGETS_TO_BE_AWAY = 2
"""How many different targets have to fail without an answer between them; one may be slow by itself."""

FAILURES_TOLD = 2
"""After how many failures in a row of one target, while TP answers others, the log says so."""

_BACKOFF_MAX_DOUBLINGS = 10


def backoff(failures: int, interval: float, rng: random.Random) -> float:
    """Return how long to wait after so many failures in a row: full jitter, but never less than the interval."""
    longest = min(interval * 2 ** min(failures, _BACKOFF_MAX_DOUBLINGS), BACKOFF_MAX_SECONDS)
    return max(interval, rng.uniform(0.0, longest))


def is_outage(outcome: object) -> TypeGuard[TpError]:
    """Return whether a failed poll says something of TP as a whole, or of our login, and not of one job."""
    # What stands before a TP that is down answers for it with a 5xx.
    return isinstance(outcome, TpUnreachableError | TpServerFaultError | TpNotAuthenticatedError)


@dataclass(slots=True)
class Outage:
    """TP's absence, as this process sees it. While TP is away, one target at a time is asked whether it is back.

    Attributes:
        rng: where the back-off comes from.
        away: whether TP is away.
        retry_at: when it is asked again, while it is away.
        probe: the target that asks it.
        told: the watches whose silence was told as TP's.

    """

    rng: random.Random
    away: bool = False
    retry_at: float = 0.0
    probe: TargetKey | None = None
    told: set[str] = field(default_factory=set)
    _rounds: int = 0
    _failed: set[TargetKey] = field(default_factory=set)

    def lets_through(self, key: TargetKey, now: float, *, longest_poll: float) -> bool:
        """Return whether a target that is due may be polled; it becomes the probe where TP is away."""
        if not self.away:
            return True
        if now < self.retry_at:
            return False
        self.probe, self.retry_at = key, now + longest_poll
        return True

    def holds_back(self, key: TargetKey) -> bool:
        """Return whether a poll that waited for its turn must not be made: TP went away meanwhile."""
        return self.away and key != self.probe

    def failed(self, target: Target, failure: TpError, *, now: float, targets: int, interval: float) -> None:
        """Take in a poll that TP did not answer, and log what is new about it.

        Args:
            target: what was polled.
            failure: why there was no answer.
            now: the time.
            targets: how many targets this process polls.
            interval: the shortest interval of them, in seconds.

        """
        self._failed.add(target.key)
        refused = isinstance(failure, TpNotAuthenticatedError)
        begins = not self.away and len(self._failed) >= min(targets, FAILED_TARGETS_TO_BE_AWAY)
        if begins:
            logger.warning("%s: %s", "Cannot log in to TP" if refused else "TP does not answer", failure)
        elif not self.away and target.failures == FAILURES_TOLD:
            logger.warning("%s is not answered, while others are: %s", target.key.text, failure)
        if begins or (self.away and target.key == self.probe):
            self._rounds += 1
            self.retry_at = now + backoff(self._rounds, interval, self.rng)
            self.away, self.probe = True, None

    def answered(self, target: Target, outcome: object) -> bool:
        """Take in that TP answered, with what is asked for or not; return whether it was away before."""
        was_away, self.away = self.away, False
        self.probe, self._rounds = None, 0
        self._failed.clear()
        if was_away:
            logger.warning("TP answers again")
        elif target.failures >= FAILURES_TOLD and not isinstance(outcome, TpError):
            logger.warning("%s is answered again", target.key.text)
        return was_away

    def notes(self, watch: Watch, step: Step, outcome: object) -> tuple[str, ...]:
        """Return what the log says of a watch: that TP is away is said once, and not for each watch."""
        if is_outage(outcome):
            self.told.add(watch.id)
            return ()
        told = watch.id in self.told
        self.told.discard(watch.id)
        back = state_machine.no_longer(watch, Advisory.UNREACHABLE)
        return tuple(note for note in step.notes if not (told and note == back))
