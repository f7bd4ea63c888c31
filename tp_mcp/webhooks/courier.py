"""Sends events until they arrive, across restarts, each by one process at a time."""

import logging
import random
from collections.abc import Callable, Mapping

import anyio

from tp_mcp.clock import Clock
from tp_mcp.errors import StoreError
from tp_mcp.settings import Webhook
from tp_mcp.watch.delivery.change_feed import Change, ChangeFeed, Throttle, appearance_of
from tp_mcp.watch.delivery.delivery_log import Channel, Deliveries
from tp_mcp.watch.delivery.outbox import EventKind, Outbox, Outgoing
from tp_mcp.watch.model.watch import Watch
from tp_mcp.webhooks.events import Events
from tp_mcp.webhooks.sender import Attempt, Sender

logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""How often it is looked for what is due: what another process left, and what is tried again."""

CLAIM_SECONDS = 60.0
"""How long an event is one process's; longer than an attempt may take. After a crash another one sends it then."""

BACKOFF_FIRST_SECONDS = 4.0
BACKOFF_MAX_SECONDS = 900.0
MAX_AGE_SECONDS = 24 * 3600.0
"""Time after which sending an event is given up; the inbox still has the end."""

PROGRESS_MAX_AGE_SECONDS = 120.0
"""The same for progress: what is older is not how things stand."""

PROGRESS_SECONDS = 30.0
"""Shortest time between two progress events of a watch."""

_MAX_DOUBLINGS = 16


def backoff(failures: int, rng: random.Random) -> float:
    """Return how many seconds to wait after so many failures in a row: full jitter."""
    return rng.uniform(0.0, min(BACKOFF_FIRST_SECONDS * 2 ** min(failures, _MAX_DOUBLINGS), BACKOFF_MAX_SECONDS))


class Courier:
    """Serves the configured endpoints, each in a task of its own, so that a slow one holds up no other."""

    def __init__(
        self,
        *,
        endpoints: Mapping[str, Webhook],
        events: Events,
        outbox: Outbox,
        deliveries: Deliveries,
        clock: Clock,
        rng: random.Random | None = None,
        claim_seconds: float = CLAIM_SECONDS,
        make_sender: Callable[[Webhook], Sender] = Sender,
    ) -> None:
        """Prepare; `deliveries` records what came of each attempt to send an end."""
        self._endpoints = endpoints
        self._events = events
        self._outbox = outbox
        self._deliveries = deliveries
        self._clock = clock
        self._rng = random.Random() if rng is None else rng  # noqa: S311 -- spreads load, guards nothing
        self._claim_seconds = claim_seconds
        self._make_sender = make_sender
        self._woken = {name: Change() for name in endpoints}

    async def run(self, feed: ChangeFeed, polled_here: Callable[[str], bool]) -> None:
        """Send what is due, and queue the progress of watches that this process polls, until it is cancelled."""
        await self._drop_forgotten()
        tells_progress = any(EventKind.PROGRESS in webhook.events for webhook in self._endpoints.values())
        async with anyio.create_task_group() as tasks:
            throttle = Throttle(seconds=PROGRESS_SECONDS, clock=self._clock, tasks=tasks)

            def changed(watch: Watch) -> None:
                if watch.state.ended:
                    throttle.forget(watch.id)
                    self._wake()
                elif tells_progress and polled_here(watch.id):
                    throttle.offer(watch.id, appearance_of(watch), lambda: tasks.start_soon(self._queue, watch))

            stop = feed.listen(changed)
            try:
                for name, webhook in self._endpoints.items():
                    tasks.start_soon(self._serve, name, self._make_sender(webhook))
                await anyio.sleep_forever()
            finally:
                stop()

    async def _serve(self, name: str, sender: Sender) -> None:
        try:
            while True:
                self._woken[name] = change = Change()
                event = await self._claimed(name)
                if event is None:
                    await change.wait(LOOK_SECONDS, self._clock)
                else:
                    await self._send(event, sender)
        finally:
            with anyio.CancelScope(shield=True):
                await sender.close()

    async def _claimed(self, name: str) -> Outgoing | None:
        now = self._clock.now()
        try:
            return await self._outbox.claim(name, now=now, until=now + self._claim_seconds)
        except StoreError as error:
            logger.warning("The events for %s could not be read: %s", name, error)
            return None

    async def _send(self, event: Outgoing, sender: Sender) -> None:
        attempt = await sender.send(event, now=self._clock.now())
        if event.kind is EventKind.END:
            outcome = f"{event.endpoint}: {attempt.problem or 'arrived'}"
            await self._deliveries.record(event.watch_id, Channel.WEBHOOK, outcome)
        try:
            await self._settle(event, attempt)
        except StoreError as error:
            # It is sent again once its claim is over, under the same id.
            logger.warning(
                "%s: what came of sending it to %s could not be written: %s", event.id, event.endpoint, error
            )

    async def _settle(self, event: Outgoing, attempt: Attempt) -> None:
        now = self._clock.now()
        if not attempt.problem:
            await self._outbox.arrived(event.id)
            if event.attempts:
                logger.warning("%s has arrived at %s, after %d failures.", event.id, event.endpoint, event.attempts)
            return
        max_age = PROGRESS_MAX_AGE_SECONDS if event.kind is EventKind.PROGRESS else MAX_AGE_SECONDS
        again = now + max(backoff(event.attempts, self._rng), attempt.retry_after)
        if again - event.created_at > max_age:
            await self._outbox.arrived(event.id)
            logger.warning("%s did not arrive at %s and is given up: %s", event.id, event.endpoint, attempt.problem)
            return
        await self._outbox.retry(event.id, at=again)
        if not event.attempts:
            logger.warning("%s did not arrive at %s and is tried again: %s", event.id, event.endpoint, attempt.problem)

    async def _queue(self, watch: Watch) -> None:
        try:
            await self._outbox.queue(self._events.of_progress(watch))
        except StoreError as error:
            logger.info("The progress of %s was not queued for the endpoints: %s", watch.id, error)
        self._wake()

    async def _drop_forgotten(self) -> None:
        try:
            dropped = await self._outbox.drop_forgotten(self._endpoints, before=self._clock.now() - MAX_AGE_SECONDS)
        except StoreError as error:
            logger.warning("Events for endpoints that are no more could not be dropped: %s", error)
            return
        if dropped:
            logger.warning("%d events for endpoints that are no longer configured were dropped.", dropped)

    def _wake(self) -> None:
        for change in self._woken.values():
            change.happened()
