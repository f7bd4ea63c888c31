"""One HTTP request of a connector: limited in time and size, without redirects."""

import base64
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import anyio
import httpx2
from pydantic import SecretStr

from tp_mcp import __version__
from tp_mcp.clock import Clock
from tp_mcp.connectors.manifest import Auth, Request
from tp_mcp.connectors.runner.answer import RawAnswer
from tp_mcp.connectors.runner.request_builder import Prepared, filled_text, prepared
from tp_mcp.connectors.template import look_up
from tp_mcp.errors import ConnectorError
from tp_mcp.redaction import RedactingFilter, Redactor, Secrets

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


EARLY_SECONDS = 60.0
"""Remaining life at which a token is exchanged again, in seconds."""

Send = Callable[[Prepared], Awaitable[RawAnswer]]


@dataclass(frozen=True, slots=True)
class _Token:
    header: str
    expires_at: float | None


class Login:
    """Provides the `Authorization` header of requests.

    Args:
        auth: login in the manifest; None if requests carry their own headers.
        secrets: collection that receives each token.
    """

    def __init__(self, auth: Auth | None, send: Send, clock: Clock, secrets: Secrets) -> None:
        self._auth = auth
        self._send = send
        self._clock = clock
        self._secrets = secrets
        # By exchange, because each instance of a connector has its own login.
        self._tokens: dict[tuple[str, ...], _Token] = {}

    async def headers(self, settings: Mapping[str, object]) -> dict[str, str]:
        """Return the headers of the login; exchange a token if none is valid; raise ConnectorError if that fails."""
        if self._auth is None:
            return {}
        if self._auth.type == "basic":
            return {"Authorization": self._basic(self._auth, settings)}
        exchange = _exchange(self._auth, settings)
        key = (exchange.url, *(text for header in sorted(exchange.headers.items()) for text in header))
        token = self._tokens.get(key)
        if token is None or (token.expires_at is not None and token.expires_at <= self._clock.now()):
            token = self._tokens[key] = await self._exchanged(self._auth, exchange)
        return {"Authorization": token.header}

    def forget(self) -> bool:
        """Forget the exchanged tokens after a refusal; return whether there were any."""
        there_were = bool(self._tokens)
        self._tokens.clear()
        return there_were

    def _basic(self, auth: Auth, settings: Mapping[str, object]) -> str:
        roots = {"settings": settings}
        given = f"{filled_text(auth.username or '', roots)}:{filled_text(auth.password or '', roots)}"
        encoded = base64.b64encode(given.encode()).decode()
        self._secrets.learn(SecretStr(encoded))
        return f"Basic {encoded}"

    async def _exchanged(self, auth: Auth, exchange: Prepared) -> _Token:
        answer = await self._send(exchange)
        if not 200 <= answer.status < 300:
            raise ConnectorError(
                f"The login was refused with status {answer.status}.",
                remedy="Check the connector's settings, above all the token.",
                status_code=answer.status,
            )
        value = answer.value
        token = look_up(auth.bearer_path or "", value)
        if not isinstance(token, str) or not token or not token.isprintable() or not token.isascii() or " " in token:
            raise ConnectorError(
                f"The answer to the login contains no token at {auth.bearer_path}.",
                remedy="Check exchange_url and bearer_path in the manifest.",
                status_code=answer.status,
            )
        self._secrets.learn(SecretStr(token))
        lifetime = _lifetime_seconds(auth, value)
        return _Token(
            f"Bearer {token}", None if lifetime is None else self._clock.now() + max(lifetime - EARLY_SECONDS, 0)
        )


def _exchange(auth: Auth, settings: Mapping[str, object]) -> Prepared:
    authorization = auth.exchange_auth_header or (f"Bearer {auth.api_token}" if auth.api_token else None)
    headers = dict(auth.exchange_headers) | ({"Authorization": authorization} if authorization else {})
    request = Request(method=auth.exchange_method, url=auth.exchange_url or "", headers=headers)
    return prepared(request, {}, {"settings": settings})


def _lifetime_seconds(auth: Auth, value: object) -> float | None:
    if auth.expires_path is None:
        return None
    found = look_up(auth.expires_path, value)
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        return None
    try:
        lifetime = float(found)
    except ValueError:
        return None
    return lifetime / 1_000 if "milli" in auth.expires_path.lower() else lifetime
