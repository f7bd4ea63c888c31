"""A change as it is put to whoever confirms it: what it does, to what, and who else is concerned."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tp_mcp.access.policy import Action


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a call would do, as far as it can be known before.

    Attributes:
        action: what kind of change.
        tool: the tool that was called.
        arguments: its arguments as JSON, secrets masked.
        testbed: the testbed it changes.
        what: the change in words, as `upgrade of AT16_Combined_FSW to build 6957`.
        devices: names and addresses of what is changed.
        running: what runs there now, as `build 6950`; empty where TP does not tell.
        target: what will run there, likewise.
        lab_status: how TP calls the lab's state; empty where it does not tell.
        users: who else may use the lab.
        executions: ids of executions that go on there.
        watches: what else is watched there, in words.
        chain: the steps that follow, in words.

    """

    action: Action
    tool: str
    arguments: str
    testbed: str
    what: str
    devices: tuple[str, ...] = ()
    running: str = ""
    target: str = ""
    lab_status: str = ""
    users: tuple[str, ...] = ()
    executions: tuple[int, ...] = ()
    watches: tuple[str, ...] = ()
    chain: tuple[str, ...] = ()

    def lines(self) -> tuple[str, ...]:
        """Return the plan as lines that a person reads before they say yes."""
        change = f"{self.running or 'unknown'} -> {self.target}" if self.target else self.running
        told = (
            ("Testbed", self.testbed + (f" ({self.lab_status})" if self.lab_status else "")),
            ("Devices", _listed(self.devices)),
            ("Build", change),
            ("Arguments", self.arguments),
            ("May also be used by", _listed(self.users)),
            ("Executions going on there", _listed([str(exec_id) for exec_id in self.executions]) or "none known"),
            ("Also watched there", _listed(self.watches)),
            ("Then", "; ".join(self.chain)),
        )
        return (f"{self.what[:1].upper()}{self.what[1:]}.", *(f"{name}: {value}" for name, value in told if value))

    @property
    def digest(self) -> str:
        """Return what two proposals share only if they say the same."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


LISTED_AT_MOST = 10


def _listed(values: Sequence[str]) -> str:
    more = len(values) - LISTED_AT_MOST
    return ", ".join(values[:LISTED_AT_MOST]) + (f" and {more} more" if more > 0 else "")


def changed_lines(before: Sequence[str], after: Sequence[str]) -> tuple[str, ...]:
    """Return the lines of a plan that are not as they were."""
    return tuple(line for line in after if line not in set(before))
