"""Refusals of TP, independent of HTTP."""

from enum import Enum


class Reason(Enum):
    """The kind of a refusal."""

    INVALID = "invalid"
    FORBIDDEN = "forbidden"
    UNKNOWN = "unknown"
    CONFLICT = "conflict"


class Refusal(Exception):  # noqa: N818 - a refusal is an answer of TP, not a fault of the program
    """TP refuses the request."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
