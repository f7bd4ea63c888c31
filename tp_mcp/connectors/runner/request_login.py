"""Logins of a connector's requests: Basic, and exchange of a token."""

import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from tp_mcp.clock import Clock
from tp_mcp.connectors.manifest import Auth, Request
from tp_mcp.connectors.runner.answer import RawAnswer
from tp_mcp.connectors.runner.request_builder import Prepared, filled_text, prepared
from tp_mcp.connectors.template import look_up
from tp_mcp.errors import ConnectorError
from tp_mcp.redaction import Secrets

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
