"""What the simulated TP was asked: methods and paths, never headers or bodies."""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """A request that arrived.

    Attributes:
        method: `GET` or `POST`.
        path: decoded, without the query.
        endpoint: the name that faults use; '' where no endpoint has this path.
        at: simulated time, in seconds since the epoch.

    """

    method: str
    path: str
    endpoint: str
    at: float


class RequestLog:
    """The last 10,000 requests and the number of all."""

    def __init__(self) -> None:
        self._requests: deque[SeenRequest] = deque(maxlen=LIMIT)
        self._counts: Counter[str] = Counter()

    def add(self, request: SeenRequest) -> None:
        """Note a request."""
        self._requests.append(request)
        self._counts[request.endpoint] += 1

    def __iter__(self) -> Iterator[SeenRequest]:
        """Iterate from the oldest to the newest."""
        return iter(tuple(self._requests))

    def count(self, endpoint: str | None = None) -> int:
        """Return how many requests arrived, for one endpoint or for all."""
        return self._counts.total() if endpoint is None else self._counts[endpoint]

    def clear(self) -> None:
        """Forget all."""
        self._requests.clear()
        self._counts.clear()

    def view(self) -> dict[str, Any]:
        """Return count, counts by endpoint, and the requests."""
        return {
            "count": self.count(),
            "by_endpoint": dict(self._counts),
            "requests": [asdict(request) for request in self._requests],
        }
