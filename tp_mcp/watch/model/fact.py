"""Why a watch ended or has its advisory, as data. `delivery.messages` puts it into words."""

from dataclasses import dataclass
from enum import StrEnum


class FactKind(StrEnum):
    """The reasons that the state machine finds itself; all other reasons are texts of TP, a rule or a caller."""

    LIMIT_REACHED = "limit_reached"
    """The watch reached its limit of time (`seconds`) or of polls (`polls`)."""
    NOT_PICKED_UP = "not_picked_up"
    """Nothing has picked the job up for `seconds`."""
    NO_SIGN_OF_LIFE = "no_sign_of_life"
    """The job's signs of life have not changed for `seconds`."""
    UNKNOWN_TO_TP = "unknown_to_tp"
    """TP no longer knows the job."""
    START_UNSETTLED = "start_unsettled"
    """TP never answered the start, and reading does not show whether the job started."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One reason, with a length of time or a number of polls where its kind has one.

    `advisory` is the fact behind the advisory that the watch had when it reached its limit.
    """

    kind: FactKind
    seconds: float | None = None
    polls: int | None = None
    advisory: "Fact | None" = None
