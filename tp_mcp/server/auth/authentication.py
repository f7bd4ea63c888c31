"""Authentication of HTTP requests, and the host names that the server answers to."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import AnyHttpUrl, SecretStr
from starlette.requests import Request

from tp_mcp.access.access_tokens import Tokens
from tp_mcp.errors import TpMcpError
from tp_mcp.server.auth.identity_provider import TokenChecker

SCOPE = "tp"
"""The scope of every valid token; the policy decides which changes a user may make."""

OpenTokens = Callable[[], Awaitable[Tokens]]


class Verifier:
    """Finds the principal of a token."""

    def __init__(self, *, tokens: OpenTokens | None = None, checker: TokenChecker | None = None) -> None:
        """Prepare; `tokens` gives this server's own tokens once the store is open, None where they do not count."""
        self._tokens = tokens
        self._checker = checker

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return the access of a token; None if the token is invalid or cannot be checked now."""
        principal = await self._principal(token)
        # The token itself goes no further.
        return None if principal is None else AccessToken(token="", client_id=principal, scopes=[SCOPE])

    async def _principal(self, token: str) -> str | None:
        if self._tokens is not None:
            try:
                found = await (await self._tokens()).principal(SecretStr(token))
            except TpMcpError:
                return None
            if found is not None:
                return found.principal
        user = await self._checker.user(token) if self._checker is not None else None
        return None if user is None else f"oidc:{user}"


def authenticated(request: Request) -> str:
    """Return the principal of an authenticated request."""
    user = request.user
    if not isinstance(user, AuthenticatedUser):
        raise TypeError("a request got here without authentication")
    return str(user.access_token.client_id)


LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True)
class Authentication:
    """How requests are authenticated.

    Attributes:
        address: the server's URL as clients see it, `/mcp` included; what tokens of an identity provider are for.
        issuer: the identity provider that clients are referred to; None if there is none.
    """

    verifier: Verifier
    address: str
    issuer: str | None = None

    def settings(self) -> AuthSettings:
        """Return the SDK's settings. Where there is a provider, the protected-resource metadata names it."""
        if self.issuer is None:
            return AuthSettings(issuer_url=AnyHttpUrl(self.address), resource_server_url=None, required_scopes=[SCOPE])
        return AuthSettings(
            issuer_url=AnyHttpUrl(self.issuer),
            resource_server_url=AnyHttpUrl(self.address),
            # The verifier checks the audience itself, which need not be the address.
            validate_token_resource=False,
            required_scopes=None,
        )


def names_answered_to(public_url: str | None) -> TransportSecuritySettings:
    """Return the accepted Host and Origin headers: those of this machine and of the public address.

    A page in somebody's browser must not speak to the server under a name of its own.
    """
    hosts = [f"{name}:*" for name in LOOPBACK_NAMES]
    origins = [f"http://{name}:*" for name in LOOPBACK_NAMES]
    if public_url is not None:
        parts = urlsplit(public_url)
        hosts.append(parts.netloc)
        if parts.port is None:
            hosts.append(f"{parts.netloc}:{443 if parts.scheme == 'https' else 80}")
        origins.append(f"{parts.scheme}://{parts.netloc}")
    return TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins)
