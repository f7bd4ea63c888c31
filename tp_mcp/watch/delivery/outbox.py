"""Events on their way to an external receiver, such as the endpoint of a webhook.

They are rows of the store, saved in the transaction of the change that they report, and stay until they arrived or were
given up. An event may arrive more than once, always with the same id.
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
    """The kind of an event."""

    END = "end"
    PROGRESS = "progress"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One event for one endpoint. Times are seconds since the epoch.

    The id is the same on each attempt: `evt_...`. `body` is the JSON to send; `attempts` counts failed ones.
    """

    id: str
    endpoint: str
    kind: EventKind
    watch_id: str
    body: str
    created_at: float
    attempts: int = 0


EventsOfEnd: TypeAlias = Callable[[Watch, InboxEntry], Sequence[Outgoing]]
"""Returns the events of an end."""


class Outbox(Protocol):
    """Keeps events until they arrived. Every method may raise StoreError."""

    async def queue(self, events: Sequence[Outgoing]) -> None:
        """Save events, each in place of an older one of the same kind for the same endpoint and watch.

        The event of an end replaces progress that waits, and no progress is queued after it.
        """
        ...

    async def claim(self, endpoint: str, *, now: float, until: float) -> Outgoing | None:
        """Return an endpoint's most overdue event, reserved for the caller until `until`."""
        ...

    async def arrived(self, event_id: str) -> None:
        """Drop an event that arrived or is given up."""
        ...

    async def retry(self, event_id: str, *, at: float) -> None:
        """Count a failed attempt; the event is due again at a time."""
        ...

    async def drop_forgotten(self, endpoints: Collection[str], *, before: float) -> int:
        """Drop events saved before a time for other endpoints than these; return their number."""
        ...


def new_event_id() -> str:
    """Return a fresh id of an event."""
    return EVENT_ID_PREFIX + secrets.token_hex(EVENT_ID_BYTES)


def no_events(_watch: Watch, _entry: InboxEntry) -> Sequence[Outgoing]:
    """Return no events: there is no receiver."""
    return ()
