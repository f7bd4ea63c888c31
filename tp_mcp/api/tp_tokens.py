"""Tokens: minted once for all callers and renewed before they expire; or issued elsewhere."""

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
        TpNotAuthenticatedError: user name or password is wrong (see `refuses_credentials`), or a page came instead of a
            token.
        TpNotJsonError: a success without a token, a refusal that is not TP's own, or a redirect to the same page on
            another host.
        TpError: as for other calls.
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
            "TP's answer to the login contains no token.", remedy=judge.address_remedy, status_code=answer.status
        )
    return SecretStr(token)


def refuses_credentials(error: TpError) -> bool:
    """Return whether TP itself rejected the user name and password, which may lock the account."""
    return isinstance(error, TpNotAuthenticatedError) and error.status_code in _REFUSING_STATUSES


def _refusal(answer: RawAnswer, judge: Judge) -> TpError:
    if not is_json(answer):
        return TpNotJsonError(
            f"The answer to the login has status {answer.status} but no JSON, so it does not show whether the user "
            "name and password are correct.",
            remedy=judge.address_remedy if judge.has_answered else f"{judge.address_remedy} {_TOKEN_FROM_ELSEWHERE}",
            status_code=answer.status,
        )
    words = server_words(answer.body, judge.redactor)
    return TpNotAuthenticatedError(
        "TP rejected the user name and password." + (f' It said: "{words}"' if words else ""),
        remedy=judge.login_remedy,
        status_code=answer.status,
    )


def _page_instead(answer: RawAnswer, judge: Judge) -> TpNotAuthenticatedError:
    if judge.has_answered:
        page = "a login page" if answer.is_login_page else f"another page (status {answer.status})"
        return TpNotAuthenticatedError(
            f"TP answered the login with {page} instead of a token, which it returned before.",
            remedy=judge.address_remedy,
            status_code=answer.status,
        )
    return TpNotAuthenticatedError(
        "This TP issues no tokens at /token-auth/: it uses single sign-on, or TP_MCP_BASE_URL is wrong.",
        remedy=_TOKEN_FROM_ELSEWHERE,
        status_code=answer.status,
    )


RENEW_BEFORE_SECONDS = 300.0
"""Remaining life at which a minted token is renewed, in seconds; tokens live about 12 hours."""

SHORTEST_USE_SECONDS = 30.0
"""Time for which a token that was minted with too little remaining life is still used, in seconds."""

LOGIN_PAUSE_SECONDS = 60.0
"""Pause before user name and password are sent again after a rejection, in seconds: attempts lock the account."""

SHORT_LOGIN_PAUSE_SECONDS = 5.0
"""Pause before the next login after a page came instead of a token, in seconds; otherwise each call would log in."""


class Tokens(Protocol):
    """Source of a call's token."""

    @property
    def renewable(self) -> bool:
        """Whether a rejected token can be replaced."""

    def username(self) -> str:
        """Return the TP user name of the credentials; ConfigurationError if they name none."""

    async def current(self) -> SecretStr:
        """Return an unexpired token."""

    async def fresh(self) -> SecretStr:
        """Return a token for a write, which does not expire soon if possible."""

    def drop(self, refused: SecretStr) -> None:
        """Forget a rejected token, so that the next call uses another one if possible."""

    async def renewed(self, refused: SecretStr) -> SecretStr:
        """Return a token other than the rejected one."""


class HandedInToken:
    """A token issued elsewhere, which only its issuer can replace."""

    renewable = False

    def __init__(self, issued: IssuedToken, clock: Clock) -> None:
        if not is_token(issued.token.get_secret_value()):
            raise ConfigurationError(
                f"{issued.named} is not a token.",
                remedy="Set it to the token only, without the word JWT, quotes, spaces or line breaks.",
            )
        self._issued = issued
        self._token = issued.token
        self._claims = read_claims(issued.token)
        self._clock = clock

    def username(self) -> str:
        """Return the user name in the token; raise ConfigurationError if it has none."""
        if self._claims.username is None:
            raise ConfigurationError(
                f"The token in {self._issued.named} carries no username, so its user is unknown.",
                remedy="Use a token with 'username' in its payload, or a user name and password.",
            )
        return self._claims.username

    async def current(self) -> SecretStr:
        """Return the token; raise TpNotAuthenticatedError if it has expired, and nothing was sent."""
        if self._claims.expires_at is not None and self._claims.expires_at <= self._clock.now():
            raise TpNotAuthenticatedError(
                f"The token in {self._issued.named} has expired; nothing was sent.", remedy=self._issued.remedy
            )
        return self._token

    fresh = current

    def drop(self, refused: SecretStr) -> None:
        """Do nothing: there is no other token."""

    async def renewed(self, refused: SecretStr) -> SecretStr:
        """Return `refused`: there is no other token."""
        return refused


class NoTokens:
    """No token: each request for one raises an error with the reason, so nothing is sent."""

    renewable = False

    def __init__(self, why: NoLogin) -> None:
        self._why = why

    def username(self) -> str:
        """Raise TpNotAuthenticatedError: there is no user."""
        raise self._error()

    async def current(self) -> SecretStr:
        """Raise TpNotAuthenticatedError: there is no token."""
        raise self._error()

    fresh = current

    def drop(self, refused: SecretStr) -> None:
        """Do nothing: no token was ever sent."""

    async def renewed(self, refused: SecretStr) -> SecretStr:  # noqa: ARG002 -- none was ever sent
        """Raise TpNotAuthenticatedError: there is no token."""
        raise self._error()

    def _error(self) -> TpNotAuthenticatedError:
        return TpNotAuthenticatedError(self._why.message, remedy=self._why.remedy)


class MintedTokens:
    """Tokens minted with a user name and a password, lazily, by one caller on behalf of all waiting ones.

    Where none can be minted, its methods raise the TpError of the attempt.

    Args:
        mint: requests a token from TP, once.
    """

    renewable = True

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

    def username(self) -> str:
        """Return the user name of the login."""
        return self._login.username

    async def current(self) -> SecretStr:
        """Return a token; mint one if there is none or it is about to expire."""
        return self._usable() or await self._minted(refused=None)

    async def fresh(self) -> SecretStr:
        """Return a token that does not expire within `RENEW_BEFORE_SECONDS`, or a new one."""
        token = self._usable()
        if token is not None and self._clock.now() < self._expires_soon_at:
            return token
        return await self._minted(refused=token)

    def drop(self, refused: SecretStr) -> None:
        """Forget a rejected token, unless it was already replaced."""
        if self._token == refused:
            self._token = None

    async def renewed(self, refused: SecretStr) -> SecretStr:
        """Return a token other than `refused`; mint one unless another caller already did."""
        return await self._minted(refused=refused)

    async def _minted(self, refused: SecretStr | None) -> SecretStr:
        failures = self._failures
        async with self._lock:
            token = self._usable()
            if token is not None and token != refused:
                return token
            self._token = None
            if self._failure is not None and (self._failures > failures or self._pause_left(self._failure)):
                raise self._with_pause(self._failure)
            try:
                token = await self._mint()
            except TpError as error:
                self._failure, self._failed_at = copy.copy(error), self._clock.now()
                self._failures += 1
                raise self._with_pause(error) from error
            self._failure = None
            self._keep(token)
            return token

    def _with_pause(self, failure: TpError) -> TpError:
        error = copy.copy(failure)
        if seconds := self._pause_left(failure):
            error.message += f" The login is tried again in {seconds} s, with the next call."
        return error

    def _pause_left(self, failure: TpError) -> int:
        if not isinstance(failure, TpNotAuthenticatedError):
            return 0
        pause = LOGIN_PAUSE_SECONDS if refuses_credentials(failure) else SHORT_LOGIN_PAUSE_SECONDS
        since = self._clock.now() - self._failed_at
        # Setting the clock back must not extend the pause.
        return math.ceil(pause - since) if 0 <= since < pause else 0

    def _usable(self) -> SecretStr | None:
        return self._token if self._token is not None and self._clock.now() < self._renew_at else None

    def _keep(self, token: SecretStr) -> None:
        now = self._clock.now()
        expires_at = read_claims(token).expires_at
        self._token = token
        self._expires_soon_at = math.inf if expires_at is None else expires_at - RENEW_BEFORE_SECONDS
        self._renew_at = max(self._expires_soon_at, now + SHORTEST_USE_SECONDS)
