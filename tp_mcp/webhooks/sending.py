"""One attempt to send an event: to the address that was checked, no redirect followed, no answer read."""

import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import anyio
import httpx2

from tp_mcp import __version__
from tp_mcp.settings import Webhook
from tp_mcp.watch.outgoing import Outgoing
from tp_mcp.webhooks.addresses import AddressRefusedError, allowed_address
from tp_mcp.webhooks.signing import signed_headers

SEND_SECONDS = 15.0
"""How long one attempt may take in all."""

RETRY_AFTER_MAX_SECONDS = 3_600.0

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of an attempt.

    Attributes:
        problem: why the event did not arrive, without what might be secret; empty where it did.
        retry_after: how many seconds the endpoint asks to be left alone; 0 where it does not.

    """

    problem: str = ""
    retry_after: float = 0.0


async def resolved(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a name, in the system's order.

    Raises:
        OSError: there are none.

    """
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
            # The words of an error may quote the address, which may hold a secret.
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
            # Its body is nobody's business here, however long it is.
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
