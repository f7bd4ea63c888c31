"""Access tokens of this server, for those who have no identity provider: handed out once, kept as hashes."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Protocol

from pydantic import SecretStr

from tp_mcp.clock import Clock
from tp_mcp.errors import InvalidArgumentError

PREFIX = "tpm_"
"""Prefix of every token, by which scanners for leaked secrets recognize one."""

TOKEN_BYTES = 32
DAY_SECONDS = 24 * 3600.0
MAX_DAYS = 3650
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token, without itself.

    Attributes:
        token_hash: SHA-256 of it. It is random, so nothing slower is needed.
        name: its name, e.g. `alice-laptop`; unique among tokens that are not revoked.
        principal: whose requests are made with it, e.g. `token:alice`.
        created_at: seconds since the epoch.
        expires_at: end of its validity; None if it does not expire.
    """

    token_hash: str
    name: str
    principal: str
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None

    def good(self, now: float) -> bool:
        """Return whether it can be used."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class TokenStore(Protocol):
    """Keeps tokens. Every method may raise StoreError."""

    async def add(self, token: AccessToken) -> bool:
        """Write a new one; False where one that is not revoked has its name."""

    async def find(self, token_hash: str) -> AccessToken | None:
        """Return one."""

    async def revoke(self, name: str, at: float) -> bool:
        """Revoke the one of this name; False where there is none that is not revoked."""

    async def all(self) -> tuple[AccessToken, ...]:
        """Return every one, oldest first."""


class Tokens:
    """Hands tokens out, and knows them again."""

    def __init__(self, store: TokenStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def add(self, name: str, user: str, *, days: float | None) -> SecretStr:
        """Return a new token, which is never shown again.

        Args:
            user: whose it is; a user's tokens share their watches.
            days: for how long it is good; None for ever.

        Raises:
            InvalidArgumentError: the name is taken, or something cannot be used.
        """
        for what, value in (("name", name), ("user", user)):
            if not _NAME.fullmatch(value):
                raise InvalidArgumentError(
                    f"The {what} {value!r} cannot be used.", remedy="Use letters, digits and _ . @ -, at most 64."
                )
        if days is not None and not 0 < days <= MAX_DAYS:
            raise InvalidArgumentError(f"days is {days:g}, but must be more than 0 and at most {MAX_DAYS}.")
        secret = SecretStr(PREFIX + secrets.token_urlsafe(TOKEN_BYTES))
        now = self._clock.now()
        token = AccessToken(
            token_hash=hash_of(secret),
            name=name,
            principal=f"token:{user}",
            created_at=now,
            expires_at=None if days is None else now + days * DAY_SECONDS,
        )
        if not await self._store.add(token):
            raise InvalidArgumentError(
                f"There is a token {name!r} already.", remedy=f"Choose another name, or: tp-mcp token revoke {name}"
            )
        return secret

    async def principal(self, token: SecretStr) -> AccessToken | None:
        """Return a valid token of ours; None if it is unknown, expired or revoked."""
        if not token.get_secret_value().startswith(PREFIX):
            return None
        found = await self._store.find(hash_of(token))
        return found if found is not None and found.good(self._clock.now()) else None

    async def revoke(self, name: str) -> None:
        """Revoke a token; raise InvalidArgumentError if there is none."""
        if not await self._store.revoke(name, self._clock.now()):
            raise InvalidArgumentError(
                f"There is no token {name!r} that is not revoked.", remedy="tp-mcp token list shows them all."
            )

    async def all(self) -> tuple[AccessToken, ...]:
        """Return every token, oldest first."""
        return await self._store.all()


def hash_of(token: SecretStr) -> str:
    """Return how a token is kept."""
    return hashlib.sha256(token.get_secret_value().encode()).hexdigest()
