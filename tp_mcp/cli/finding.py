"""What `tp-mcp doctor` finds."""

from dataclasses import dataclass
from enum import Enum


class Mark(Enum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warn"
    FAILED = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked.

    Attributes:
        mark: how it came out.
        what: what was checked, and what was found.
        remedy: what to do; empty where nothing is wrong.

    """

    mark: Mark
    what: str
    remedy: str = ""
