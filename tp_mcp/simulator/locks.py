"""Who marked a lab as taken.

A mark tells people that a lab is in use, and nothing more: it keeps nobody from running or upgrading there. The lab is
listed as `Running` while it is marked, the only word that TP has for a lab that is not available.
"""

from collections.abc import Mapping
from typing import Any

from tp_mcp.simulator.labs import Lab
from tp_mcp.simulator.refusals import Reason, Refusal

LOCK = "lock"
UNLOCK = "unlock"


class LabLocks:
    """The marks, by the lab's name."""

    def __init__(self) -> None:
        self._holders: dict[str, str] = {}

    def holder(self, lab: str) -> str | None:
        """Return who marked a lab; None where nobody did."""
        return self._holders.get(lab)

    def apply(self, lab: Lab, user: str, action: object) -> Mapping[str, Any]:
        """Set or take away a user's mark, and return what the POST answers. What stands already is no error.

        Raises:
            Refusal: (INVALID) if the action is none of the two; (CONFLICT) if somebody else marked the lab.

        """
        if action not in (LOCK, UNLOCK):
            raise Refusal(Reason.INVALID, "action must be 'lock' or 'unlock'")
        holder = self.holder(lab.name)
        if holder is not None and holder != user:
            raise Refusal(Reason.CONFLICT, f"'{lab.name}' is locked by '{holder}'")
        if action == LOCK:
            self._holders[lab.name] = user
        else:
            self._holders.pop(lab.name, None)
        return {"name": lab.name, "locked": action == LOCK, "user": user}
