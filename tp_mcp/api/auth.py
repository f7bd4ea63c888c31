"""Credentials for TP, and what a token says about itself."""

import base64
import binascii
import json
import math
import re
from dataclasses import dataclass

from pydantic import SecretStr

LONGEST_TOKEN = 16_000
"""Characters of a token; longer ones do not fit into a request's header."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")


@dataclass(frozen=True, slots=True)
class PasswordLogin:
    """A user name and password: tokens are minted with them, and renewed before they expire."""

    username: str
    password: SecretStr


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token that was issued elsewhere; it cannot be renewed here."""

    token: SecretStr


Credentials = PasswordLogin | IssuedToken


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
