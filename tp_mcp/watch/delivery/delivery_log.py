"""Deliveries of ends besides the inbox, for their owner to see. None of them counts as a showing.

A record states that a hint was handed to a channel, and the channel's result. It never means that a model has read the
hint; only the inbox knows that.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from tp_mcp.clock import Clock
from tp_mcp.errors import StoreError
from tp_mcp.redaction import one_line
from tp_mcp.results.text import shorten

logger = logging.getLogger(__name__)

OUTCOME_MAX_CHARACTERS = 120


class Channel(StrEnum):
    """A way to deliver an end."""

    TASK = "task"
    SUBSCRIPTION = "subscription"
    LOG_MESSAGE = "log message"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class Delivery:
    """The delivery of the end of one watch by one channel: its number of attempts, and the latest of them.

    `outcome` is the result in a few words, e.g. "answered 500"; `at` is its time, seconds since the epoch.
    """

    watch_id: str
    channel: str
    outcome: str
    at: float
    times: int = 1


class DeliveryStore(Protocol):
    """Keeps delivery records. Every method may raise StoreError."""

    async def record_delivery(self, delivery: Delivery) -> None:
        """Count one attempt to deliver an end; ignored for a watch that is no longer kept."""
        ...

    async def deliveries(self, watch_ids: Sequence[str]) -> tuple[Delivery, ...]:
        """Return the deliveries of some watches, in the order of the first use of their channels."""
        ...


class Deliveries:
    """Records deliveries and finds them again."""

    def __init__(self, *, store: DeliveryStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def record(self, watch_id: str, channel: Channel, outcome: str) -> None:
        """Record one attempt. If it cannot be recorded, that is logged: the hint was sent all the same."""
        short = shorten(one_line(outcome), OUTCOME_MAX_CHARACTERS)
        try:
            await self._store.record_delivery(Delivery(watch_id, channel.value, short, self._clock.now()))
        except StoreError as error:
            logger.warning("%s: its delivery by %s could not be recorded: %s", watch_id, channel, error)

    async def of(self, watch_ids: Sequence[str]) -> Mapping[str, tuple[Delivery, ...]]:
        """Return the deliveries of some watches, the earliest channel first; may raise StoreError."""
        found: dict[str, tuple[Delivery, ...]] = {}
        for delivery in await self._store.deliveries(watch_ids):
            found[delivery.watch_id] = (*found.get(delivery.watch_id, ()), delivery)
        return found
