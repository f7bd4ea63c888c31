"""Tokens: minted once for everybody, renewed before they expire; or handed in."""

import copy
from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio
from pydantic import SecretStr

from tp_mcp.api.auth import IssuedToken, PasswordLogin, is_token, read_claims
from tp_mcp.clock import Clock
from tp_mcp.errors import ConfigurationError, TpError, TpNotAuthenticatedError

RENEW_BEFORE_SECONDS = 300.0
"""A minted token is renewed this long before it expires; they live about 12 hours."""

SHORTEST_USE_SECONDS = 30.0
"""A token that is minted with less life than this left is used all the same, until TP refuses it."""

LOGIN_PAUSE_SECONDS = 60.0
"""After TP refused a login it is not tried again for this long: many calls at once would lock the account."""


class Tokens(Protocol):
    """Where the token of a call comes from."""

    @property
    def renewable(self) -> bool:
        """Whether a refused token can be replaced."""
        ...

    def username(self) -> str:
        """Return the TP username that the credentials stand for; ConfigurationError where they name none."""
        ...

    async def current(self) -> SecretStr:
        """Return a token that has not expired."""
        ...

    async def renewed(self, refused: SecretStr) -> SecretStr:
        """Return another token than `refused`."""
        ...


class HandedInToken:
    """A token that was issued elsewhere."""

    def __init__(self, issued: IssuedToken, clock: Clock) -> None:
        if not is_token(issued.token.get_secret_value()):
            raise ConfigurationError(
                "TP_MCP_TOKEN is not a token.",
                remedy="Set it to the token alone, without the word JWT, quotes, spaces or line breaks.",
            )
        self._token = issued.token
        self._claims = read_claims(issued.token)
        self._clock = clock

    @property
    def renewable(self) -> bool:
        """False: only whoever issued it can replace it."""
        return False

    def username(self) -> str:
        """Return the username in the token.

        Raises:
            ConfigurationError: the token carries none.

        """
        if self._claims.username is None:
            raise ConfigurationError(
                "The token in TP_MCP_TOKEN carries no username, so it is not known whom it stands for.",
                remedy="Use a token whose payload has 'username', or set TP_MCP_USERNAME and TP_MCP_PASSWORD instead.",
            )
        return self._claims.username

    async def current(self) -> SecretStr:
        """Return the token.

        Raises:
            TpNotAuthenticatedError: it has expired; nothing was sent.

        """
        if self._claims.expires_at is not None and self._claims.expires_at <= self._clock.now():
            raise TpNotAuthenticatedError(
                "The token in TP_MCP_TOKEN has expired; nothing was sent.",
                remedy="Have a new one issued and set TP_MCP_TOKEN to it.",
            )
        return self._token

    async def renewed(self, refused: SecretStr) -> SecretStr:
        """Return `refused`: there is no other."""
        return refused


class MintedTokens:
    """Tokens minted with a user name and a password: lazily, and by one caller for all who wait.

    Args:
        mint: asks TP for a token, once.

    """

    def __init__(self, login: PasswordLogin, clock: Clock, mint: Callable[[], Awaitable[SecretStr]]) -> None:
        self._login = login
        self._clock = clock
        self._mint = mint
        self._lock = anyio.Lock()
        self._token: SecretStr | None = None
        self._renew_at = 0.0
        self._failure: TpError | None = None
        self._failures = 0
        self._failed_at = 0.0

    @property
    def renewable(self) -> bool:
        """True."""
        return True

    def username(self) -> str:
        """Return the user name that logs in."""
        return self._login.username

    async def current(self) -> SecretStr:
        """Return a token, minting one if there is none or it is about to expire.

        Raises:
            TpError: no token could be minted.

        """
        return self._usable() or await self._minted(refused=None)

    async def renewed(self, refused: SecretStr) -> SecretStr:
        """Return another token than `refused`, minting one unless somebody else already did.

        Raises:
            TpError: no token could be minted.

        """
        return await self._minted(refused=refused)

    async def _minted(self, refused: SecretStr | None) -> SecretStr:
        failures = self._failures
        async with self._lock:
            token = self._usable()
            if token is not None and token != refused:
                return token
            self._token = None
            if self._failure is not None and (self._failures > failures or self._login_is_paused()):
                raise copy.copy(self._failure)
            try:
                token = await self._mint()
            except TpError as error:
                self._failure, self._failed_at = copy.copy(error), self._clock.now()
                self._failures += 1
                raise
            self._failure = None
            self._keep(token)
            return token

    def _login_is_paused(self) -> bool:
        refused = isinstance(self._failure, TpNotAuthenticatedError)
        return refused and 0 <= self._clock.now() - self._failed_at < LOGIN_PAUSE_SECONDS

    def _usable(self) -> SecretStr | None:
        return self._token if self._token is not None and self._clock.now() < self._renew_at else None

    def _keep(self, token: SecretStr) -> None:
        now = self._clock.now()
        expires_at = read_claims(token).expires_at
        self._token = token
        self._renew_at = (
            float("inf") if expires_at is None else max(expires_at - RENEW_BEFORE_SECONDS, now + SHORTEST_USE_SECONDS)
        )
