"""Events on their way to somebody outside, such as the endpoint of a webhook.

They are rows of the store, written with what they tell of, and stay until they arrived or were given up. An event may
arrive more than once, always with the same id.
"""

import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

from tp_mcp.watch.model.watch import InboxEntry, Watch

EVENT_ID_PREFIX = "evt_"
EVENT_ID_BYTES = 12


class EventKind(StrEnum):
    """What an event tells."""

    END = "end"
    PROGRESS = "progress"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One event for one endpoint. Times are seconds since the epoch.

    Attributes:
        id: of the event, the same on each attempt: `evt_...`.
        endpoint: the name of the endpoint.
        kind: what it tells.
        watch_id: of which watch.
        body: what is sent, JSON.
        created_at: when it was written.
        attempts: how often sending it failed.

    """

    id: str
    endpoint: str
    kind: EventKind
    watch_id: str
    body: str
    created_at: float
    attempts: int = 0


EventsOfEnd: TypeAlias = Callable[[Watch, InboxEntry], Sequence[Outgoing]]
"""Returns what is to be sent of an end."""


class Outbox(Protocol):
    """Keeps events until they arrived. Every method may raise StoreError."""

    async def queue(self, events: Sequence[Outgoing]) -> None:
        """Write events, each in place of an older one of the same kind for the same endpoint and watch.

        What is queued of an end takes the place of the progress that waits, and no progress is queued after it.
        """
        ...

    async def claim(self, endpoint: str, *, now: float, until: float) -> Outgoing | None:
        """Return the event of an endpoint that is due for longest, and nobody else's before `until`."""
        ...

    async def arrived(self, event_id: str) -> None:
        """Drop an event: it arrived, or is given up."""
        ...

    async def retry(self, event_id: str, *, at: float) -> None:
        """Count a failed attempt; the event is due again at a time."""
        ...

    async def drop_forgotten(self, endpoints: Collection[str], *, before: float) -> int:
        """Drop events written before a time for other endpoints than these; return how many."""
        ...


def new_event_id() -> str:
    """Return a fresh id of an event."""
    return EVENT_ID_PREFIX + secrets.token_hex(EVENT_ID_BYTES)


def no_events(_watch: Watch, _entry: InboxEntry) -> Sequence[Outgoing]:
    """Return nothing: there is nobody to tell."""
    return ()
