"""TP's users."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class User:
    """A user of TP, who may log in."""

    username: str
    password: str
    email: str


DEFAULT_USERS = (
    User("demo", "demo-password", "demo@tp.example"),
    User("rival", "rival-password", "rival@tp.example"),
)
