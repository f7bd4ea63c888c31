"""The SDK's port for checking who makes a request, over this server's tokens and an identity provider's."""

from collections.abc import Awaitable, Callable

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from pydantic import SecretStr
from starlette.requests import Request

from tp_mcp.access.tokens import Tokens
from tp_mcp.errors import TpMcpError
from tp_mcp.server.auth.identity_provider import TokenChecker

SCOPE = "tp"
"""What every good token allows; what a user may change is the policy's matter."""

OpenTokens = Callable[[], Awaitable[Tokens]]


class Verifier:
    """Tells whose a token is."""

    def __init__(self, *, tokens: OpenTokens | None = None, checker: TokenChecker | None = None) -> None:
        """Prepare.

        Args:
            tokens: gives this server's own tokens, once the store is open; None where they do not count.
            checker: checks an identity provider's; None where there is none.

        """
        self._tokens = tokens
        self._checker = checker

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return what a token stands for; None where it is no good, or nobody can tell now."""
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
    """Return the principal of a request that was let in."""
    user = request.user
    if not isinstance(user, AuthenticatedUser):
        raise TypeError("a request got here without authentication")
    return str(user.access_token.client_id)
