"""The operator's policy: what may be changed at all, and what somebody has to confirm first."""

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from tp_mcp.errors import PolicyError

DAY_SECONDS = 24 * 3600.0
"""Over which time a daily budget is counted, back from now."""


class Action(StrEnum):
    """The kinds of change."""

    UPGRADE = "upgrade"
    RUN = "run"
    CANCEL = "cancel"
    LOCK = "lock"


class Confirm(StrEnum):
    """The changes that need confirmation on testbeds that are not protected."""

    NOTHING = "nothing"
    UPGRADES = "upgrades"
    EVERYTHING = "everything"


class Unasked(StrEnum):
    """The handling of a change that needs confirmation if the client cannot ask its user."""

    TWO_STEP = "two-step"
    """The first call shows the plan, a second one with its code starts it."""
    REFUSE = "refuse"


class Need(StrEnum):
    """Who has to confirm something."""

    NOBODY = "nobody"
    CALLER = "caller"
    """The user where they can be asked; else as `Policy.unasked` says."""
    PERSON = "person"
    """The user where they can be asked; else a person at a terminal. The model cannot."""


_STRICTNESS = (Need.NOBODY, Need.CALLER, Need.PERSON)


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's rules.

    Attributes:
        allowed_testbeds: patterns such as `AT1*` of testbeds that may be changed; all where there are none.
        protected_testbeds: patterns of testbeds on which a person confirms every change.
        daily_upgrades: how many upgrades a principal may start in 24 hours; None for any number.
        daily_runs: how many runs, likewise.
        confirm: what has to be confirmed elsewhere.
    """

    read_only: bool = False
    allowed_testbeds: tuple[str, ...] = ()
    protected_testbeds: tuple[str, ...] = ()
    daily_upgrades: int | None = None
    daily_runs: int | None = None
    confirm: Confirm = Confirm.UPGRADES
    unasked: Unasked = Unasked.TWO_STEP

    def check(self, action: Action, testbed: str) -> None:
        """Check whether a change may be made at all; raise PolicyError, which names the setting, if not."""
        if self.read_only:
            raise PolicyError(
                f"Nothing may be changed through this server: it is read-only, so no {action}.",
                remedy="Its operator can change that (TP_MCP_READ_ONLY).",
            )
        if self.allowed_testbeds and not _matches(testbed, self.allowed_testbeds):
            raise PolicyError(
                f"{testbed} may not be changed through this server.",
                remedy=f"It may change {', '.join(self.allowed_testbeds)} (TP_MCP_ALLOWED_TESTBEDS).",
            )

    def need(self, action: Action, testbed: str) -> Need:
        """Return who has to confirm a change that may be made."""
        if _matches(testbed, self.protected_testbeds):
            return Need.PERSON
        asked = self.confirm is Confirm.EVERYTHING or (self.confirm is Confirm.UPGRADES and action is Action.UPGRADE)
        return Need.CALLER if asked else Need.NOBODY

    def need_of_all(self, first: Need, later: Iterable[tuple[Action, str | None]]) -> Need:
        """Return who has to confirm a change together with what is to follow it.

        Args:
            first: who has to confirm the change itself.
            later: each later change and its testbed; None where that is told only once the step before it has ended,
                so that it may be any.
        """
        needs = [first]
        for action, testbed in later:
            may_be_protected = testbed is None and bool(self.protected_testbeds)
            needs.append(Need.PERSON if may_be_protected else self.need(action, testbed or ""))
        return max(needs, key=_STRICTNESS.index)

    def daily_limit(self, action: Action) -> int | None:
        """Return how often a principal may do something in 24 hours; None for any number of times."""
        return {Action.UPGRADE: self.daily_upgrades, Action.RUN: self.daily_runs}.get(action)


def over_budget(action: Action, limit: int) -> PolicyError:
    """Return the refusal of what goes beyond a daily budget."""
    return PolicyError(
        f"The budget of {limit} {action}{'' if limit == 1 else 's'} in 24 hours is used up.",
        remedy=f"Wait, or ask the operator of this server (TP_MCP_DAILY_{action.upper()}S).",
    )


def _matches(testbed: str, patterns: tuple[str, ...]) -> bool:
    # Whether a name is written large or small must not decide whether it is protected.
    return any(fnmatch.fnmatchcase(testbed.casefold(), pattern.casefold()) for pattern in patterns)
