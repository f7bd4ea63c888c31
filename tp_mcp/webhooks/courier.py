"""Sends events to webhook endpoints until they arrive, across restarts, each by one process at a time."""

import base64
import binascii
import hashlib
import hmac
import logging
import random
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import anyio
import httpx2
from pydantic import SecretStr

from tp_mcp import __version__
from tp_mcp.clock import Clock
from tp_mcp.errors import StoreError
from tp_mcp.settings import Webhook
from tp_mcp.watch.delivery.change_feed import Change, ChangeFeed, Throttle, appearance_of
from tp_mcp.watch.delivery.delivery_log import Channel, Deliveries
from tp_mcp.watch.delivery.outbox import EventKind, Outbox, Outgoing
from tp_mcp.watch.model.watch import Watch
from tp_mcp.webhooks.events import Events

logger = logging.getLogger(__name__)

_NAT64 = IPv6Network("64:ff9b::/96")

Address = IPv4Address | IPv6Address


class AddressRefusedError(Exception):
    """None of the addresses of a name may be connected to."""


def allowed_address(addresses: Iterable[str], *, private: bool) -> str:
    """Return the first address that may be connected to.

    Args:
        private: whether private, loopback and link-local addresses are allowed as well.

    Raises:
        AddressRefusedError: there is none.
    """
    for address in addresses:
        parsed = ip_address(address.partition("%")[0])
        meant = _meant(parsed)
        if meant.is_multicast or meant.is_unspecified:
            continue
        if private or meant.is_global:
            return address
    raise AddressRefusedError


def _meant(address: Address) -> Address:
    """Return the IPv4 address that is embedded in an IPv6 address, if there is one."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else address)


ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
SECRET_PREFIX = "whsec_"  # noqa: S105 -- what such secrets begin with
VERSION = "v1"


def signed_headers(secret: SecretStr, event_id: str, timestamp: int, body: str) -> Mapping[str, str]:
    """Return the headers that sign one attempt to send an event.

    Args:
        secret: shared with the endpoint; one that begins with `whsec_` is Base64, any other is taken as it is.
        event_id: the same on each attempt.
        timestamp: of the attempt, whole seconds since the epoch.
    """
    signed = f"{event_id}.{timestamp}.{body}".encode()
    signature = base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest()).decode()
    return {ID_HEADER: event_id, TIMESTAMP_HEADER: str(timestamp), SIGNATURE_HEADER: f"{VERSION},{signature}"}


def _key(secret: SecretStr) -> bytes:
    plain = secret.get_secret_value()
    if plain.startswith(SECRET_PREFIX):
        try:
            return base64.b64decode(plain.removeprefix(SECRET_PREFIX), validate=True)
        except binascii.Error:
            pass
    return plain.encode()


SEND_SECONDS = 15.0
"""Longest duration of one attempt."""

RETRY_AFTER_MAX_SECONDS = 3_600.0

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result of an attempt.

    Attributes:
        problem: why the event did not arrive, without what might be secret; empty where it did.
        retry_after: how many seconds the endpoint asks to be left alone; 0 where it does not.
    """

    problem: str = ""
    retry_after: float = 0.0


async def resolved(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a name, in the system's order; raise OSError if there are none."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class Sender:
    """Sends events to one endpoint."""

    def __init__(self, webhook: Webhook, *, resolve: Resolve = resolved) -> None:
        self._webhook = webhook
        self._resolve = resolve
        self._client: httpx2.AsyncClient | None = None

    async def send(self, event: Outgoing, *, now: float) -> Attempt:
        """Try to send an event."""
        try:
            with anyio.fail_after(SEND_SECONDS):
                return await self._send(event, now)
        except TimeoutError:
            return Attempt(f"no answer within {SEND_SECONDS:g} s")
        except AddressRefusedError:
            return Attempt("its address is private, loopback or link-local, and allow_private_addresses is not set")
        except Exception as error:  # noqa: BLE001 -- whatever it is, this event did not arrive and the next one may
            # The text of an error may quote the address, which may contain a secret.
            return Attempt(type(error).__name__)

    async def close(self) -> None:
        """Close its connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _send(self, event: Outgoing, now: float) -> Attempt:
        url = httpx2.URL(self._webhook.url)
        port = url.port or (443 if url.scheme == "https" else 80)
        addresses = await self._resolve(url.host, port)
        address = allowed_address(addresses, private=self._webhook.allow_private_addresses)
        headers = {
            "Host": url.netloc.decode(),
            "Content-Type": "application/json",
            "User-Agent": f"tp-mcp/{__version__}",
            **signed_headers(self._webhook.secret, event.id, int(now), event.body),
        }
        async with self._opened().stream(
            "POST",
            url.copy_with(host=address),
            content=event.body.encode(),
            headers=headers,
            extensions={"sni_hostname": url.host},
        ) as response:
            # The body of the answer is not read, however long it is.
            if response.is_success:
                return Attempt()
            return Attempt(f"HTTP {response.status_code}", _retry_after(response.headers.get("Retry-After", "")))

    def _opened(self) -> httpx2.AsyncClient:
        if self._client is None:
            # No proxy, no netrc and no certificates of the environment: only what is configured for this endpoint.
            ca_file = self._webhook.ca_file
            self._client = httpx2.AsyncClient(
                verify=True if ca_file is None else ssl.create_default_context(cafile=ca_file),
                trust_env=False,
                follow_redirects=False,
                timeout=SEND_SECONDS,
            )
        return self._client


def _retry_after(header: str) -> float:
    return min(float(header), RETRY_AFTER_MAX_SECONDS) if header.isascii() and header.isdigit() else 0.0


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
