"""How many requests a principal may make: so many at once, and then so many in a minute."""

from dataclasses import dataclass

from tp_mcp.clock import Clock

MINUTE_SECONDS = 60.0
MAX_PRINCIPALS = 10_000
"""Of how many principals something is remembered; who was away longest is forgotten first, and starts afresh."""


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class RateLimit:
    """A bucket of requests for each principal, filled again as time passes."""

    def __init__(self, clock: Clock, *, per_minute: int) -> None:
        """Prepare.

        Args:
            clock: the time.
            per_minute: how many requests one principal may make in a minute, and at once after a minute of rest.

        """
        self._clock = clock
        self._per_minute = per_minute
        self._buckets: dict[str, _Bucket] = {}

    def wait(self, principal: str) -> float:
        """Return 0 where a request may be made, which then counts; else in how many seconds one may."""
        now = self._clock.now()
        bucket = self._buckets.pop(principal, None) or _Bucket(self._per_minute, now)
        rate = self._per_minute / MINUTE_SECONDS
        bucket.left = min(self._per_minute, bucket.left + max(0.0, now - bucket.at) * rate)
        bucket.at = now
        # Put back at the end, so that the first is who was away longest.
        self._buckets[principal] = bucket
        if len(self._buckets) > MAX_PRINCIPALS:
            del self._buckets[next(iter(self._buckets))]
        if bucket.left < 1:
            return (1 - bucket.left) / rate
        bucket.left -= 1
        return 0.0
