"""JSON Web Tokens: HS256, with `username`, `email` and `exp`."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class User:
    """A user of TP."""

    username: str
    password: str
    email: str


DEFAULT_USERS = (User("demo", "demo-password", "demo@tp.example"), User("rival", "rival-password", "rival@tp.example"))


_ALGORITHM = "HS256"
_SECRET_BYTES = 48


class BadTokenError(Exception):
    """TP rejects the token; the message is TP's."""


class TokenIssuer:
    """Mints and checks tokens with a secret of its own."""

    def __init__(self, wall: Callable[[], float], lifetime_seconds: float) -> None:
        self._wall = wall
        self._lifetime = lifetime_seconds
        self._secret = secrets.token_hex(_SECRET_BYTES)
        self._serial = 0
        self._oldest_valid = 0

    def mint(self, user: User, lifetime_seconds: float | None = None) -> str:
        """Return a token for `user`, valid for `lifetime_seconds` of real time (default: as configured)."""
        import jwt  # noqa: PLC0415 - takes longer to import than the simulator to start

        lifetime = self._lifetime if lifetime_seconds is None else lifetime_seconds
        self._serial += 1
        payload = {
            "username": user.username,
            "email": user.email,
            "exp": int(self._wall() + lifetime),
            "jti": str(self._serial),
        }
        return jwt.encode(payload, self._secret, algorithm=_ALGORITHM)

    def expire_all(self) -> None:
        """Expire every token minted so far."""
        self._oldest_valid = self._serial + 1

    def username(self, token: str) -> str:
        """Return whose token it is. Raises BadTokenError if it is not ours, or has expired."""
        import jwt  # noqa: PLC0415 - takes longer to import than the simulator to start

        try:
            payload = jwt.decode(
                token, self._secret, algorithms=[_ALGORITHM], options={"verify_exp": False, "require": ["exp"]}
            )
        except jwt.InvalidTokenError:
            raise BadTokenError("Error decoding signature.") from None
        if payload["exp"] <= self._wall() or int(payload["jti"]) < self._oldest_valid:
            raise BadTokenError("Signature has expired.")
        return str(payload["username"])
