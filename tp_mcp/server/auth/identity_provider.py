"""JSON web tokens of an identity provider: signature, issuer, audience and times are checked."""

import logging
from dataclasses import dataclass
from typing import Any

import anyio
import httpx2
import jwt
from jwt.types import Options

from tp_mcp.clock import Clock

logger = logging.getLogger(__name__)

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Public-key signatures only: with a shared secret, everyone who can check a token could also make one."""

LEEWAY_SECONDS = 60.0
"""How far the clocks of the provider and of this machine may differ."""

KEYS_SECONDS = 600.0
"""How long the provider's keys are kept."""

ANEW_AFTER_SECONDS = 30.0
"""How soon they are read again because a token names one that is not among them."""

KEYS_MAX_BYTES = 262_144
FETCH_SECONDS = 10.0
TOKEN_MAX_CHARACTERS = 16_384


@dataclass(frozen=True, slots=True)
class Provider:
    """An identity provider.

    Attributes:
        issuer: what `iss` of its tokens is.
        audience: what `aud` of those for this server is, or is among.
        keys_url: where its public keys are (JWKS).
        claim: the claim that names the user; one value must always be the same user.
    """

    issuer: str
    audience: str
    keys_url: str
    claim: str = "sub"


class TokenChecker:
    """Checks tokens of one provider."""

    def __init__(self, provider: Provider, clock: Clock, *, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self._provider = provider
        self._clock = clock
        self._transport = transport
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at = float("-inf")
        self._reading = anyio.Lock()

    async def user(self, token: str) -> str | None:
        """Return the user that a token names; None where it is not good for this server."""
        if len(token) > TOKEN_MAX_CHARACTERS or token.count(".") != 2:
            return None
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            return None
        key = await self._key(str(header.get("kid", "")))
        if key is None or header.get("alg") not in ALGORITHMS:
            return None
        # The library compares with a clock of its own; times are compared below, with the one that is given.
        options: Options = {
            "require": ["exp", "iss", "aud"],
            "verify_exp": False,
            "verify_nbf": False,
            "verify_iat": False,
        }
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[str(header["alg"])],
                issuer=self._provider.issuer,
                audience=self._provider.audience,
                options=options,
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            logger.info("A token was refused: %s", type(error).__name__)
            return None
        user = claims.get(self._provider.claim)
        return user if isinstance(user, str) and user and self._timely(claims) else None

    def _timely(self, claims: dict[str, Any]) -> bool:
        now = self._clock.now()
        expires, begins = claims.get("exp"), claims.get("nbf", 0)
        if not isinstance(expires, int | float) or not isinstance(begins, int | float):
            return False
        return begins - LEEWAY_SECONDS <= now < expires + LEEWAY_SECONDS

    async def _key(self, key_id: str) -> jwt.PyJWK | None:
        async with self._reading:
            age = self._clock.now() - self._read_at
            if age > KEYS_SECONDS or (key_id not in self._keys and age > ANEW_AFTER_SECONDS):
                self._read_at = self._clock.now()
                keys = await self._fetched()
                # Where the provider does not answer, the keys that are known are still its keys.
                self._keys = self._keys if keys is None else keys
        return self._keys.get(key_id)

    async def _fetched(self) -> dict[str, jwt.PyJWK] | None:
        try:
            async with (
                httpx2.AsyncClient(transport=self._transport, timeout=FETCH_SECONDS, follow_redirects=False) as client,
                client.stream("GET", self._provider.keys_url) as response,
            ):
                response.raise_for_status()
                body = b""
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > KEYS_MAX_BYTES:
                        break
            found = jwt.PyJWKSet.from_json(body[:KEYS_MAX_BYTES].decode())
        except (httpx2.HTTPError, jwt.PyJWTError, ValueError) as error:
            logger.warning("The identity provider's keys could not be read: %s", error)
            return None
        return {str(key.key_id or ""): key for key in found.keys if key.public_key_use in {None, "sig"}}
