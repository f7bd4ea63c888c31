"""Tokens: minted once for everybody, renewed before they expire; or handed in."""

import copy
import math
from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio
from pydantic import SecretStr

from tp_mcp.api.answers import Judge, RawAnswer, is_json, server_words
from tp_mcp.api.auth import IssuedToken, NoLogin, PasswordLogin, is_token, read_claims
from tp_mcp.api.endpoints import MINT_TOKEN
from tp_mcp.clock import Clock
from tp_mcp.errors import ConfigurationError, TpError, TpNotAuthenticatedError, TpNotJsonError

_REFUSING_STATUSES = (400, 401, 403)
_TOKEN_FROM_ELSEWHERE = "Set TP_MCP_TOKEN to a token issued elsewhere, instead of TP_MCP_USERNAME and TP_MCP_PASSWORD."  # noqa: S105 - names of variables


def read_token(answer: RawAnswer, judge: Judge) -> SecretStr:
    """Return the token in an answer of `/token-auth/`.

    Raises:
        TpNotAuthenticatedError: user name and password are wrong (see `refuses_credentials`), or a page came instead of
            a token.
        TpNotJsonError: a success without a token, a refusal that is not TP's own, or a redirect to the same page
            elsewhere.
        TpError: as for every other call.

    """
    good = 200 <= answer.status < 300
    if answer.status in (404, 405) or (good and answer.is_html):
        raise _page_instead(answer, judge)
    if answer.status in _REFUSING_STATUSES:
        raise _refusal(answer, judge)
    try:
        value = judge.json(MINT_TOKEN, answer)
    except TpNotAuthenticatedError:
        raise _page_instead(answer, judge) from None
    token = value.get("token") if isinstance(value, dict) else None
    if not isinstance(token, str) or not is_token(token):
        raise TpNotJsonError(
            "TP's answer to the login has no token in it.", remedy=judge.address_remedy, status_code=answer.status
        )
    return SecretStr(token)


def refuses_credentials(error: TpError) -> bool:
    """Tell whether a login failed as TP itself refused the user name and password, which may lock the account."""
    return isinstance(error, TpNotAuthenticatedError) and error.status_code in _REFUSING_STATUSES


def _refusal(answer: RawAnswer, judge: Judge) -> TpError:
    if not is_json(answer):
        return TpNotJsonError(
            f"The answer to the login has status {answer.status} but no JSON, so it does not say whether the user name "
            "and password are right.",
            remedy=judge.address_remedy if judge.has_answered else f"{judge.address_remedy} {_TOKEN_FROM_ELSEWHERE}",
            status_code=answer.status,
        )
    words = server_words(answer.body, judge.redactor)
    return TpNotAuthenticatedError(
        "TP does not accept the user name and password." + (f' It said: "{words}"' if words else ""),
        remedy=judge.login_remedy,
        status_code=answer.status,
    )


def _page_instead(answer: RawAnswer, judge: Judge) -> TpNotAuthenticatedError:
    if judge.has_answered:
        page = "a login page" if answer.is_login_page else f"another page (status {answer.status})"
        return TpNotAuthenticatedError(
            f"TP answered the login with {page} instead of the token that it gave before.",
            remedy=judge.address_remedy,
            status_code=answer.status,
        )
    return TpNotAuthenticatedError(
        "This TP does not hand out tokens at /token-auth/: it has single sign-on, or TP_MCP_BASE_URL is wrong.",
        remedy=_TOKEN_FROM_ELSEWHERE,
        status_code=answer.status,
    )


RENEW_BEFORE_SECONDS = 300.0
"""A minted token is renewed this long before it expires; they live about 12 hours."""

SHORTEST_USE_SECONDS = 30.0
"""A token that is minted with less life than this left is used all the same, until TP refuses it."""

LOGIN_PAUSE_SECONDS = 60.0
"""After TP refused the user name and password they are not tried again for this long: that would lock the account."""

SHORT_LOGIN_PAUSE_SECONDS = 5.0
"""After a page came instead of a token the login is not tried again for this long: every call would ask anew."""


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

    async def fresh(self) -> SecretStr:
        """Return a token that does not expire soon, as far as there is one: what a write is sent with."""
        ...

    def drop(self, refused: SecretStr) -> None:
        """Forget `refused`, so that the next call is sent with another token if there can be one."""
        ...

    async def renewed(self, refused: SecretStr) -> SecretStr:
        """Return another token than `refused`."""
        ...


class HandedInToken:
    """A token that was issued elsewhere."""

    def __init__(self, issued: IssuedToken, clock: Clock) -> None:
        if not is_token(issued.token.get_secret_value()):
            raise ConfigurationError(
                f"{issued.named} is not a token.",
                remedy="Set it to the token alone, without the word JWT, quotes, spaces or line breaks.",
            )
        self._issued = issued
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
                f"The token in {self._issued.named} carries no username, so it is not known whom it stands for.",
                remedy="Use a token whose payload has 'username', or a user name and password instead.",
            )
        return self._claims.username

    async def current(self) -> SecretStr:
        """Return the token.

        Raises:
            TpNotAuthenticatedError: it has expired; nothing was sent.

        """
        if self._claims.expires_at is not None and self._claims.expires_at <= self._clock.now():
            raise TpNotAuthenticatedError(
                f"The token in {self._issued.named} has expired; nothing was sent.", remedy=self._issued.remedy
            )
        return self._token

    async def fresh(self) -> SecretStr:
        """Return the token.

        Raises:
            TpNotAuthenticatedError: it has expired; nothing was sent.

        """
        return await self.current()

    def drop(self, refused: SecretStr) -> None:
        """Do nothing: there is no other."""

    async def renewed(self, refused: SecretStr) -> SecretStr:
        """Return `refused`: there is no other."""
        return refused


class NoTokens:
    """No token: whoever wants one is told why there is none, so nothing is sent."""

    def __init__(self, why: NoLogin) -> None:
        self._why = why

    @property
    def renewable(self) -> bool:
        """False: there is nothing to replace."""
        return False

    def username(self) -> str:
        """Raise TpNotAuthenticatedError: nobody is known."""
        raise self._error()

    async def current(self) -> SecretStr:
        """Raise TpNotAuthenticatedError: there is none."""
        raise self._error()

    async def fresh(self) -> SecretStr:
        """Raise TpNotAuthenticatedError: there is none."""
        raise self._error()

    def drop(self, refused: SecretStr) -> None:
        """Do nothing: none was ever sent."""

    async def renewed(self, refused: SecretStr) -> SecretStr:  # noqa: ARG002 -- none was ever sent
        """Raise TpNotAuthenticatedError: there is none."""
        raise self._error()

    def _error(self) -> TpNotAuthenticatedError:
        return TpNotAuthenticatedError(self._why.message, remedy=self._why.remedy)


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
        self._expires_soon_at = 0.0
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

    async def fresh(self) -> SecretStr:
        """Return a token that does not expire within `RENEW_BEFORE_SECONDS`, or one that was minted just now.

        Raises:
            TpError: no token could be minted.

        """
        token = self._usable()
        if token is not None and self._clock.now() < self._expires_soon_at:
            return token
        return await self._minted(refused=token)

    def drop(self, refused: SecretStr) -> None:
        """Forget `refused`, unless it was replaced already."""
        if self._token == refused:
            self._token = None

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
            if self._failure is not None and (self._failures > failures or self._pause_left(self._failure)):
                raise self._told(self._failure)
            try:
                token = await self._mint()
            except TpError as error:
                self._failure, self._failed_at = copy.copy(error), self._clock.now()
                self._failures += 1
                raise self._told(error) from error
            self._failure = None
            self._keep(token)
            return token

    def _told(self, failure: TpError) -> TpError:
        told = copy.copy(failure)
        if seconds := self._pause_left(failure):
            told.message += f" The login is tried again in {seconds} s, with the next call."
        return told

    def _pause_left(self, failure: TpError) -> int:
        if not isinstance(failure, TpNotAuthenticatedError):
            return 0
        pause = LOGIN_PAUSE_SECONDS if refuses_credentials(failure) else SHORT_LOGIN_PAUSE_SECONDS
        since = self._clock.now() - self._failed_at
        # A clock that was set back must not make the pause longer.
        return math.ceil(pause - since) if 0 <= since < pause else 0

    def _usable(self) -> SecretStr | None:
        return self._token if self._token is not None and self._clock.now() < self._renew_at else None

    def _keep(self, token: SecretStr) -> None:
        now = self._clock.now()
        expires_at = read_claims(token).expires_at
        self._token = token
        self._expires_soon_at = math.inf if expires_at is None else expires_at - RENEW_BEFORE_SECONDS
        self._renew_at = max(self._expires_soon_at, now + SHORTEST_USE_SECONDS)
