"""One HTTP exchange with TP: limited in time and size, without redirects, with one error per failure."""

import math
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import anyio
import httpx2
from pydantic import JsonValue, SecretStr

from tp_mcp import __version__
from tp_mcp.api.answers import RawAnswer
from tp_mcp.api.endpoints import Endpoint
from tp_mcp.errors import (
    ConfigurationError,
    TpError,
    TpNotJsonError,
    TpRefusedError,
    TpTimeoutError,
    TpUnreachableError,
)


class Pool:
    """Transports, each for one request at a time.

    Args:
        wait_seconds: longest wait for a free transport, in seconds.
        idle_seconds: idle time after which a transport is closed, in seconds.
    """

    def __init__(
        self,
        make: Callable[[], httpx2.AsyncBaseTransport],
        *,
        most: int,
        wait_seconds: float,
        idle_seconds: float,
    ) -> None:
        self._make = make
        self._free = anyio.Semaphore(most)
        self._wait_seconds = wait_seconds
        self._idle_seconds = idle_seconds
        self._idle: list[tuple[float, httpx2.AsyncBaseTransport]] = []  # the one that was used last at the end
        self._all: set[httpx2.AsyncBaseTransport] = set()

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[httpx2.AsyncBaseTransport]:
        """Lend a transport to one request; raise httpx2.PoolTimeout if all are in use."""
        await self._wait()
        try:
            transport = self._idle.pop()[1] if self._idle else self._make()
            self._all.add(transport)
            try:
                yield transport
            finally:
                if transport in self._all:
                    self._idle.append((anyio.current_time(), transport))
            await self._close_long_idle()
        finally:
            self._free.release()

    async def aclose(self) -> None:
        """Close all connections, including those in use."""
        there, self._all = self._all, set()
        self._idle.clear()
        for transport in there:
            await transport.aclose()

    async def _wait(self) -> None:
        try:
            self._free.acquire_nowait()
        except anyio.WouldBlock:
            with anyio.move_on_after(self._wait_seconds) as waiting:
                await self._free.acquire()
            if waiting.cancelled_caught:
                raise httpx2.PoolTimeout("all connections are in use") from None

    async def _close_long_idle(self) -> None:
        while self._idle and anyio.current_time() - self._idle[0][0] > self._idle_seconds:
            _, transport = self._idle.pop(0)
            self._all.discard(transport)
            await transport.aclose()


CONNECT_SECONDS = 5.0
"""Time limit for a free connection, for the TCP handshake and for the TLS handshake, each, in seconds."""

MOST_CONNECTIONS = 50
IDLE_CONNECTION_SECONDS = 15.0

_HEADERS = {
    "User-Agent": f"tp-mcp/{__version__}",
    "Accept": "application/json, text/html;q=0.5",
    "Accept-Encoding": "gzip, deflate",
}

_ENCODINGS = frozenset({"", "identity", "gzip", "deflate"})
"""Accepted encodings of a body, one at a time; other installed decoders are not used."""

_NOTHING_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
)


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is ready to be sent: `path` is percent-encoded, and `secrets` are those besides the login."""

    endpoint: Endpoint
    path: str
    body: JsonValue = None
    max_bytes: int = 0
    secrets: tuple[SecretStr, ...] = field(default=())


class Connection:
    """A pool of connections to one TP."""

    def __init__(
        self, base_url: str, *, transport: httpx2.AsyncBaseTransport | None, verify: ssl.SSLContext | bool
    ) -> None:
        self.base_url = checked_base_url(base_url)
        if not isinstance(verify, ssl.SSLContext) and verify is not True:
            raise ConfigurationError(
                "TLS certificates are always verified; verify=False is not accepted.",
                remedy="For a TP with a private authority, pass an SSLContext that trusts it.",
            )
        self._transport = transport
        self._verify = verify
        self._pool: Pool | None = None

    async def aclose(self) -> None:
        """Close every connection; the next exchange opens new ones."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.aclose()

    async def exchange(self, call: Call, token: SecretStr | None) -> RawAnswer:
        """Send a call once and return the answer, whatever its status.

        Raises:
            TpRefusedError: no connection was made, so nothing was sent.
            TpTimeoutError: no complete answer came within the endpoint's time limit.
            TpUnreachableError: the connection broke.
            TpNotJsonError: the answer is too large, or cannot be decoded.
        """
        endpoint = call.endpoint
        try:
            with anyio.fail_after(endpoint.timeout_seconds):
                return await self._exchange(call, token)
        except _NOTHING_SENT as error:
            raise _refused(self.base_url, error) from error
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise TpTimeoutError(
                f"TP did not answer {endpoint.name} within {endpoint.timeout_seconds:g} seconds.",
                remedy=_remedy(endpoint),
                may_have_acted=not endpoint.reads,
            ) from error
        except httpx2.DecodingError as error:
            raise TpNotJsonError(
                f"TP's answer to {endpoint.name} has an unsupported compression.",
                remedy="Check TP_MCP_BASE_URL, and the proxy in between.",
                may_have_acted=not endpoint.reads,
            ) from error
        except httpx2.TransportError as error:
            raise TpUnreachableError(
                f"The connection to TP broke before it had answered {endpoint.name}.",
                remedy=_remedy(endpoint),
                may_have_acted=not endpoint.reads,
            ) from error

    async def _exchange(self, call: Call, token: SecretStr | None) -> RawAnswer:
        request = httpx2.Request(
            call.endpoint.method,
            f"{self.base_url}{call.path}",
            json=call.body,
            headers=_HEADERS if token is None else {**_HEADERS, "Authorization": f"JWT {token.get_secret_value()}"},
            extensions={"timeout": httpx2.Timeout(call.endpoint.timeout_seconds, connect=CONNECT_SECONDS).as_dict()},
        )
        async with self._opened().lent() as transport:
            # Directly to the transport: no redirects, and no cookies, because TP identifies a caller by the token
            # alone.
            response = await transport.handle_async_request(request)
            try:
                _check_encoding(response)
                body = bytearray()
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > call.max_bytes:
                        raise _too_big(call, response.status_code)
            finally:
                await response.aclose()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return RawAnswer(str(request.url), response.status_code, headers, bytes(body))

    def _opened(self) -> Pool:
        if self._pool is None:
            self._pool = Pool(
                self._transports(),
                most=MOST_CONNECTIONS,
                wait_seconds=CONNECT_SECONDS,
                # A transport that the caller passed in must not be closed between two requests.
                idle_seconds=IDLE_CONNECTION_SECONDS if self._transport is None else math.inf,
            )
        return self._pool

    def _transports(self) -> Callable[[], httpx2.AsyncBaseTransport]:
        if (given := self._transport) is not None:
            return lambda: given
        # Without TLS nothing is verified, and loading the system's certificates is slow: load them once.
        verify = self._verify if self.base_url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context = verify if isinstance(verify, ssl.SSLContext) else httpx2.create_ssl_context(trust_env=False)
        limits = httpx2.Limits(max_connections=1, keepalive_expiry=IDLE_CONNECTION_SECONDS)
        # Proxies and logins from the environment would contact hosts that are not configured.
        return lambda: httpx2.AsyncHTTPTransport(verify=context, trust_env=False, limits=limits)


def _check_encoding(response: httpx2.Response) -> None:
    # Check before reading the body: nested encodings multiply the size of a small answer.
    if response.headers.get("Content-Encoding", "").strip().lower() not in _ENCODINGS:
        raise httpx2.DecodingError("an unsupported encoding")


def checked_base_url(base_url: str) -> str:
    """Return the base URL without a trailing slash.

    Raises:
        ConfigurationError: it is not an http or https URL, or contains a login, a query or a fragment.
    """
    try:
        parts = urlsplit(base_url.strip())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    else:
        usable = usable and parts.username is None and not parts.query and not parts.fragment
    if not usable or not base_url.strip().isprintable() or " " in base_url.strip():
        raise ConfigurationError(
            "TP_MCP_BASE_URL is not the base URL of a TP.",
            remedy="Expected: https://tp.example.com or http://HOST:8000, without a login, query or fragment.",
        )
    return base_url.strip().rstrip("/")


def _refused(base_url: str, error: httpx2.TransportError) -> TpRefusedError:
    host = urlsplit(base_url).netloc
    causes = tuple(_causes(error))
    if any(isinstance(each, ssl.SSLError) for each in causes):
        return TpRefusedError(
            f"No secure connection to {host} could be made: its TLS certificate or protocol was rejected.",
            remedy="Check TP_MCP_BASE_URL; this system must trust the certificate's authority.",
        )
    if any(type(each).__name__ == "gaierror" for each in causes):
        return TpRefusedError(
            f"The host name of {host} could not be resolved.", remedy="Check TP_MCP_BASE_URL and the network or VPN."
        )
    if isinstance(error, httpx2.PoolTimeout):
        return TpRefusedError(
            f"All {MOST_CONNECTIONS} connections to {host} were in use for {CONNECT_SECONDS:g} seconds.",
            remedy="Nothing was sent. Try again.",
        )
    return TpRefusedError(
        f"No connection to TP at {host} could be made; nothing was sent.",
        remedy="TP may be down. Check TP_MCP_BASE_URL and the network or VPN, then try again.",
    )


def _causes(error: BaseException) -> list[BaseException]:
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    return causes


def _remedy(endpoint: Endpoint) -> str:
    if endpoint.reads:
        return "TP may be restarting. Try again in a minute."
    return "It is unknown whether TP carried out the request: read its state before you repeat it."


def _too_big(call: Call, status: int) -> TpError:
    return TpNotJsonError(
        f"TP's answer to {call.endpoint.name} is larger than {call.max_bytes:,} bytes and was not read completely.",
        remedy="Ask for less, or open it in TP.",
        may_have_acted=not call.endpoint.reads,
        status_code=status,
    )
