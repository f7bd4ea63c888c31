"""Credentials for TP, and the claims of a token."""

import base64
import binascii
import json
import math
import re
from dataclasses import dataclass
from typing import assert_never

from pydantic import SecretStr

LONGEST_TOKEN = 16_000
"""Limit of a token, in characters; longer ones do not fit into a header."""

_PASSWORD_REMEDY = "Check TP_MCP_USERNAME and TP_MCP_PASSWORD, and that the account may log in to TP."  # noqa: S105 - names of variables
_TOKEN_REMEDY = "Get a new token and set TP_MCP_TOKEN to it."  # noqa: S105 - the name of a variable
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")


@dataclass(frozen=True, slots=True)
class PasswordLogin:
    """A user name and password, to mint tokens and to renew them before they expire."""

    username: str
    password: SecretStr
    remedy: str = _PASSWORD_REMEDY


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token issued elsewhere, which cannot be renewed here; `named` is its origin, for messages."""

    token: SecretStr
    named: str = "TP_MCP_TOKEN"
    remedy: str = _TOKEN_REMEDY


@dataclass(frozen=True, slots=True)
class NoLogin:
    """No login: nothing is ever sent."""

    message: str
    remedy: str


Credentials = PasswordLogin | IssuedToken | NoLogin


def secrets_of(credentials: Credentials) -> tuple[SecretStr, ...]:
    """Return the secrets of a login."""
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
    """Claims of a token, which TP verifies; `expires_at` is in seconds since the epoch, None if it has no expiry."""

    username: str | None = None
    expires_at: float | None = None


def is_token(text: str) -> bool:
    """Return whether a text can be sent as a token: one word of the characters that tokens consist of."""
    return len(text) <= LONGEST_TOKEN and _TOKEN.fullmatch(text) is not None


def read_claims(token: SecretStr) -> TokenClaims:
    """Return the claims of a JWT without verifying it; other tokens have no claims."""
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
