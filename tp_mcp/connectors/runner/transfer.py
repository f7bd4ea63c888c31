"""One HTTP request of a connector: limited in time and size, without redirects."""

import logging
import ssl
from collections.abc import Mapping

import anyio
import httpx2

from tp_mcp import __version__
from tp_mcp.connectors.runner.answer import RawAnswer
from tp_mcp.connectors.runner.request_builder import Prepared
from tp_mcp.errors import ConnectorError
from tp_mcp.redaction import RedactingFilter, Redactor

DEFAULT_TIMEOUT_SECONDS = 30.0
"""Default time limit of a request, from the first byte sent to the last one received, in seconds."""

ANSWER_MAX_BYTES = 32_000_000
"""Limit of an answer's body, in bytes."""

_LOGGERS = ("httpx2", "httpcore2.connection", "httpcore2.http11", "httpcore2.http2", "httpcore2.proxy")
"""Loggers of the library for URLs, at level INFO, and headers of answers, at level DEBUG."""


class Transfer:
    """Sends requests; connects on first use; `redactor` removes secrets from the library's log messages."""

    def __init__(
        self, *, verify_tls: bool, redactor: Redactor, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        self._verify_tls = verify_tls
        self._log_filter = RedactingFilter(redactor)
        self._transport = transport
        self._pool: httpx2.AsyncClient | None = None

    async def aclose(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            await self._pool.aclose()
            self._pool = None
            for name in _LOGGERS:
                logging.getLogger(name).removeFilter(self._log_filter)

    async def send(
        self, request: Prepared, *, headers: Mapping[str, str], timeout_seconds: float, changes: bool
    ) -> RawAnswer:
        """Send a request once and return its answer, whatever its status.

        Args:
            headers: headers of the login; the request's own headers override them.
            changes: whether the request changes anything, so that a lost answer leaves its outcome unknown.

        Raises:
            ConnectorError: no answer, or one that is too large. It names nothing of the request but its method.

        """
        own = {name.lower() for name in request.headers}
        joined = {**{name: value for name, value in headers.items() if name.lower() not in own}, **request.headers}
        try:
            with anyio.fail_after(timeout_seconds):
                return await self._exchange(request, joined)
        except (TimeoutError, httpx2.TimeoutException):
            raise ConnectorError(
                f"No answer came to the {request.method} within {timeout_seconds:g} seconds.",
                remedy=_remedy(changes=changes),
                may_have_acted=changes,
            ) from None
        except httpx2.ConnectError:
            raise ConnectorError(
                "No connection could be made; nothing was sent.",
                remedy="Check the URL in the connector's settings, the network, and the certificate.",
            ) from None
        except (httpx2.TransportError, httpx2.DecodingError):
            raise ConnectorError(
                f"The connection broke before the {request.method} was answered.",
                remedy=_remedy(changes=changes),
                may_have_acted=changes,
            ) from None
        except httpx2.InvalidURL:
            raise ConnectorError(
                "The URL of the request is invalid.", remedy="Check the connector's settings."
            ) from None

    async def _exchange(self, request: Prepared, headers: Mapping[str, str]) -> RawAnswer:
        pool = self._opened()
        built = pool.build_request(
            request.method, request.url, headers=dict(headers), content=request.content, timeout=None
        )
        response = await pool.send(built, stream=True)
        try:
            body = bytearray()
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > ANSWER_MAX_BYTES:
                    raise ConnectorError(
                        f"The answer is larger than {ANSWER_MAX_BYTES:,} bytes and was not read completely.",
                        status_code=response.status_code,
                    )
        finally:
            await response.aclose()
        names = ((name.lower(), value) for name, value in response.headers.multi_items())
        return RawAnswer(response.status_code, tuple(names), bytes(body))

    def _opened(self) -> httpx2.AsyncClient:
        if self._pool is None:
            for name in _LOGGERS:
                logging.getLogger(name).addFilter(self._log_filter)
            self._pool = httpx2.AsyncClient(
                transport=self._transport,
                verify=True if self._verify_tls else _unverified(),
                # A redirect would send the login elsewhere.
                follow_redirects=False,
                # Proxies and logins from the environment would contact hosts that are not configured.
                trust_env=False,
                headers={
                    "User-Agent": f"tp-mcp/{__version__}",
                    "Accept": "application/json, text/plain;q=0.8, */*;q=0.5",
                },
            )
        return self._pool


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _remedy(*, changes: bool) -> str:
    if not changes:
        return "Try again."
    return "It is unknown whether the request was carried out: read the state before you repeat it."
