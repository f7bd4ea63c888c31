"""One attempt to send an event: to the address that was checked, no redirect followed, no answer read."""

import base64
import binascii
import hashlib
import hmac
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import anyio
import httpx2
from pydantic import SecretStr

from tp_mcp import __version__
from tp_mcp.settings import Webhook
from tp_mcp.watch.delivery.outbox import Outgoing

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
