"""What was done to tell of an end besides the inbox, so that its owner can see it: hints, none of which counts as seen.

A record says that something was handed to a channel, and what the channel made of it. It never says that a model read
it; only the inbox knows that.
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
    """A way to tell of an end."""

    TASK = "task"
    SUBSCRIPTION = "subscription"
    LOG_MESSAGE = "log message"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one channel did for the end of one watch.

    Attributes:
        watch_id: the watch that ended.
        channel: by which way.
        outcome: what came of the latest try, in a few words: "sent", "answered 500".
        at: when that was, in seconds since the epoch.
        times: how many tries there were.

    """

    watch_id: str
    channel: str
    outcome: str
    at: float
    times: int = 1


class DeliveryStore(Protocol):
    """Keeps delivery records. Every method may raise StoreError."""

    async def record_delivery(self, delivery: Delivery) -> None:
        """Count one try to tell of an end besides the inbox; of a watch that is no longer kept, nothing is."""
        ...

    async def deliveries(self, watch_ids: Sequence[str]) -> tuple[Delivery, ...]:
        """Return what was recorded for some watches, in the order in which their channels were first used."""
        ...


class Deliveries:
    """Records deliveries and finds them again."""

    def __init__(self, *, store: DeliveryStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def record(self, watch_id: str, channel: Channel, outcome: str) -> None:
        """Record one try. What cannot be recorded is logged: a hint that was sent is not undone by that."""
        short = shorten(one_line(outcome), OUTCOME_MAX_CHARACTERS)
        try:
            await self._store.record_delivery(Delivery(watch_id, channel.value, short, self._clock.now()))
        except StoreError as error:
            logger.warning("%s: that it was delivered by %s could not be recorded: %s", watch_id, channel, error)

    async def of(self, watch_ids: Sequence[str]) -> Mapping[str, tuple[Delivery, ...]]:
        """Return what was recorded for some watches, the earliest channel first.

        Raises:
            StoreError: it cannot be read.

        """
        found: dict[str, tuple[Delivery, ...]] = {}
        for delivery in await self._store.deliveries(watch_ids):
            found[delivery.watch_id] = (*found.get(delivery.watch_id, ()), delivery)
        return found
