"""Credentials for TP, and what a token says about itself."""

import base64
import binascii
import json
import math
import re
from dataclasses import dataclass
from typing import assert_never

from pydantic import SecretStr

LONGEST_TOKEN = 16_000
"""Characters of a token; longer ones do not fit into a request's header."""

_PASSWORD_REMEDY = "Check TP_MCP_USERNAME and TP_MCP_PASSWORD, and that the account may log in to TP."  # noqa: S105 - names of variables
_TOKEN_REMEDY = "Have a new token issued and set TP_MCP_TOKEN to it."  # noqa: S105 - the name of a variable
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")


@dataclass(frozen=True, slots=True)
class PasswordLogin:
    """A user name and password: tokens are minted with them, and renewed before they expire.

    Attributes:
        username: of TP.
        password: likewise.
        remedy: what to do where TP does not take them.

    """

    username: str
    password: SecretStr
    remedy: str = _PASSWORD_REMEDY


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token that was issued elsewhere; it cannot be renewed here.

    Attributes:
        token: itself.
        named: where it comes from, for messages.
        remedy: what to do where TP does not take it.

    """

    token: SecretStr
    named: str = "TP_MCP_TOKEN"
    remedy: str = _TOKEN_REMEDY


@dataclass(frozen=True, slots=True)
class NoLogin:
    """No way to log in: nothing is ever sent.

    Attributes:
        message: why there is none.
        remedy: what to do about it.

    """

    message: str
    remedy: str


Credentials = PasswordLogin | IssuedToken | NoLogin


def secrets_of(credentials: Credentials) -> tuple[SecretStr, ...]:
    """Return what must never be shown of a login."""
    match credentials:
        case PasswordLogin():
            return (credentials.password,)
        case IssuedToken():
            return (credentials.token,)
        case NoLogin():
            return ()
        case _:
            assert_never(credentials)


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What a token says about itself. Nothing here was verified: TP does that.

    Attributes:
        username: the TP username; None where the token has none.
        expires_at: seconds since the epoch; None where the token has no end, or is no JWT.

    """

    username: str | None = None
    expires_at: float | None = None


def is_token(text: str) -> bool:
    """Tell whether `text` can be sent as a token: one word of the characters that tokens are made of."""
    return len(text) <= LONGEST_TOKEN and _TOKEN.fullmatch(text) is not None


def read_claims(token: SecretStr) -> TokenClaims:
    """Read the payload of a JWT without verifying it; a token that is no JWT has no claims."""
    parts = token.get_secret_value().split(".")
    if len(parts) != 3:
        return TokenClaims()
    try:
        payload = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return TokenClaims()
    if not isinstance(payload, dict):
        return TokenClaims()
    username = payload.get("username")
    expires_at = payload.get("exp")
    return TokenClaims(
        username=username if isinstance(username, str) and username else None,
        expires_at=_seconds(expires_at),
    )


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) else None
