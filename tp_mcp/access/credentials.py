"""Logins to TP that are kept for the users of a server, encrypted under keys that the operator configures.

A login is encrypted with AES-GCM together with the TP and the principal that it is for: a row that is copied to another
principal, or read by a server of another TP, cannot be decrypted.
"""

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from tp_mcp.api.auth import IssuedToken, PasswordLogin, is_token, read_claims
from tp_mcp.clock import Clock
from tp_mcp.errors import ConfigurationError, InvalidArgumentError

KEY_BYTES = 32
NONCE_BYTES = 12
VARIABLE = "TP_MCP_ENCRYPTION_KEY"
_MAKE_ONE = "openssl rand -base64 32 makes one"

StorableLogin = PasswordLogin | IssuedToken


@dataclass(frozen=True, slots=True)
class StoredCredential:
    """A login as it is kept.

    Attributes:
        server: the base URL of the TP that it is for.
        principal: whose it is, e.g. `token:alice`.
        kind: `password` or `token`.
        created_at: when it was kept, seconds since the epoch.
    """

    server: str
    principal: str
    username: str
    kind: str
    sealed: bytes
    created_at: float


class CredentialStore(Protocol):
    """Keeps encrypted logins. Every method may raise StoreError."""

    async def put(self, credential: StoredCredential) -> None:
        """Write one, instead of what the principal had."""

    async def get(self, server: str, principal: str) -> StoredCredential | None:
        """Return a principal's."""

    async def remove(self, server: str, principal: str) -> bool:
        """Drop a principal's; False where there is none."""

    async def all(self, server: str) -> tuple[StoredCredential, ...]:
        """Return those for one TP, by principal."""


class Vault:
    """Encrypts logins to one TP, and decrypts them again."""

    def __init__(self, store: CredentialStore, keys: Sequence[SecretStr], *, server: str, clock: Clock) -> None:
        """Prepare.

        Args:
            keys: base64 of `KEY_BYTES` bytes each; the first encrypts, all decrypt.

        Raises:
            ConfigurationError: a key is none.
        """
        self._store = store
        self._ciphers = tuple(AESGCM(_decoded(key)) for key in keys)
        self._server = server
        self._clock = clock

    @property
    def has_key(self) -> bool:
        """Return whether logins can be kept at all."""
        return bool(self._ciphers)

    async def put(self, principal: str, login: StorableLogin) -> None:
        """Keep a login, instead of what the principal had.

        Raises:
            ConfigurationError: no key is configured.
            InvalidArgumentError: it cannot be used.
            StoreError: it could not be written.
        """
        if not self._ciphers:
            raise ConfigurationError(
                f"{VARIABLE} is not set, so no login can be kept.",
                remedy=f"Set it, here and for the server, to a key: {_MAKE_ONE}.",
            )
        kind, username, content = _written(login)
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + self._ciphers[0].encrypt(nonce, json.dumps(content).encode(), self._bound_to(principal))
        await self._store.put(
            StoredCredential(self._server, principal, username, kind, sealed, created_at=self._clock.now())
        )

    async def stored(self, principal: str) -> StoredCredential | None:
        """Return a principal's as it is kept; None where there is none."""
        return await self._store.get(self._server, principal)

    async def remove(self, principal: str) -> None:
        """Keep a principal's login no longer; raise InvalidArgumentError if there is none."""
        if not await self._store.remove(self._server, principal):
            raise InvalidArgumentError(
                f"There is no login of {principal!r}.", remedy="tp-mcp credentials list shows them all."
            )

    async def all(self) -> tuple[StoredCredential, ...]:
        """Return every one, by principal."""
        return await self._store.all(self._server)

    def opens(self, credential: StoredCredential) -> bool:
        """Return whether a login can be decrypted."""
        try:
            self.opened(credential)
        except ConfigurationError:
            return False
        return True

    def opened(self, credential: StoredCredential) -> StorableLogin:
        """Return a login; raise ConfigurationError if no key decrypts it, or it was kept for somebody else."""
        if not self._ciphers:
            raise ConfigurationError(
                f"A login of {credential.principal} is kept, but {VARIABLE} is not set.",
                remedy=f"Set {VARIABLE} to the key that it was kept with.",
            )
        nonce, sealed = credential.sealed[:NONCE_BYTES], credential.sealed[NONCE_BYTES:]
        for cipher in self._ciphers:
            try:
                content = json.loads(cipher.decrypt(nonce, sealed, self._bound_to(credential.principal)))
            except (InvalidTag, ValueError):
                continue
            return _read(content, credential.principal)
        raise ConfigurationError(
            f"The login that is kept for {credential.principal} cannot be decrypted: {VARIABLE} has another key than "
            "the one that it was kept with.",
            remedy=f"Add that key to {VARIABLE}, after a comma, or store the login again with tp-mcp credentials set.",
        )

    def _bound_to(self, principal: str) -> bytes:
        return json.dumps(["tp-mcp login", self._server, principal]).encode()


def fingerprint(credential: StoredCredential) -> str:
    """Return what tells a kept login from the one before it; it says nothing of the login."""
    return hashlib.sha256(credential.sealed).hexdigest()


def keys_in(text: SecretStr | None) -> tuple[SecretStr, ...]:
    """Return the keys that a setting lists, separated by commas."""
    parts = () if text is None else text.get_secret_value().split(",")
    return tuple(SecretStr(part.strip()) for part in parts if part.strip())


def _decoded(key: SecretStr) -> bytes:
    text = key.get_secret_value().translate(str.maketrans("-_", "+/"))
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if len(decoded) != KEY_BYTES:
        raise ConfigurationError(
            f"{VARIABLE} is not a key.", remedy=f"It is the base64 of {KEY_BYTES} random bytes: {_MAKE_ONE}."
        )
    return decoded


def _written(login: StorableLogin) -> tuple[str, str, dict[str, str]]:
    if isinstance(login, PasswordLogin):
        if not login.username or not login.password.get_secret_value():
            raise InvalidArgumentError("The user name or the password is empty.")
        return "password", login.username, {"username": login.username, "password": login.password.get_secret_value()}
    token = login.token.get_secret_value()
    username = read_claims(login.token).username if is_token(token) else None
    if username is None:
        raise InvalidArgumentError(
            "That is not a TP token, or it carries no username.",
            remedy="Give the token alone, without the word JWT, quotes or spaces.",
        )
    return "token", username, {"token": token}


def _read(content: dict[str, str], principal: str) -> StorableLogin:
    remedy = f"Have the operator keep a new one: tp-mcp credentials set --user {principal}."
    if "token" in content:
        return IssuedToken(SecretStr(content["token"]), named=f"the login kept for {principal}", remedy=remedy)
    return PasswordLogin(content["username"], SecretStr(content["password"]), remedy=remedy)
