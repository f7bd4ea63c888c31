"""Labs (testbeds): their devices, who may use them, and the ones that exist at the start."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tp_mcp.simulator.refusals import Reason, Refusal

_UPGRADABLE = ("nac", "ncm")


@dataclass(frozen=True, slots=True)
class Device:
    """A network appliance of a lab; `build` runs at the start."""

    name: str
    ip: str
    build: str = "6950"

    @property
    def upgradable(self) -> bool:
        """Whether an upgrade of the testbed includes this device: its name contains `nac` or `ncm`."""
        return any(word in self.name.lower() for word in _UPGRADABLE)


@dataclass(frozen=True, slots=True)
class PastUpgrade:
    """How the last upgrade before the simulator's start ended, the same for every device."""

    mode: str
    status: str
    seconds_ago: float


@dataclass(frozen=True, slots=True)
class PlayedRuns:
    """How the executions of a lab are played (see `played_runs`) instead of run.

    Attributes:
        shortest_seconds: the shortest time in `Running`, in simulated seconds.
        failed_share: how many of the runs end `Failed`, between 0 and 1.

    Raises:
        ValueError: if these make no sense.
    """

    shortest_seconds: float = 30.0
    longest_seconds: float = 120.0
    failed_share: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.shortest_seconds <= self.longest_seconds < float("inf"):
            raise ValueError("a played run lasts longer than 0 seconds, and the shortest time comes first")
        if not 0 <= self.failed_share <= 1:
            raise ValueError("failed_share must be between 0 and 1")


@dataclass(frozen=True, slots=True)
class Lab:
    """A testbed with its controller.

    Attributes:
        controller: address of the host that pytest runs on.
        usedby: who else may use it.
        deployinfo_as_text: whether `deployinfo` is a JSON string instead of an object.
        past: its last upgrade; None if there never was one.
        played: how its executions are played; None if a real pytest runs.
        targets: the devices that an upgrade of this testbed includes.
    """

    name: str
    controller: str
    devices: tuple[Device, ...]
    users: tuple[str, ...]
    usedby: tuple[str, ...] = ()
    deployinfo_as_text: bool = False
    past: PastUpgrade | None = None
    played: PlayedRuns | None = None
    targets: tuple[Device, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(device for device in self.devices if device.upgradable))

    @property
    def device_under_test(self) -> Device:
        """The device whose CLI the test suite talks to."""
        return (self.targets or self.devices)[0]

    def usable_by(self, username: str) -> bool:
        """Whether `username` owns the lab or is in its `usedby`."""
        return username in self.users or username in self.usedby

    def deployinfo(self) -> dict[str, str] | str:
        """Return `dev1`/`ip1`, `dev2`/`ip2`, ... as an object or as a JSON string."""
        info: dict[str, str] = {}
        for number, device in enumerate(self.devices, start=1):
            info[f"dev{number}"] = device.name
            info[f"ip{number}"] = device.ip
        return json.dumps(info) if self.deployinfo_as_text else info


_DAY = 24 * 3600.0

DEFAULT_LABS = (
    Lab(
        name="AT16_Combined_FSW",
        controller="10.15.52.159",
        devices=(Device("at16-nac-1", "10.15.52.152"),),
        users=("demo",),
        usedby=("rival",),
        past=PastUpgrade("command", "SUCCESS", _DAY),
    ),
    Lab(
        name="AT21_HA_Pair",
        controller="10.15.61.19",
        devices=(
            Device("AT21-NAC-primary", "10.15.61.11", "6955"),
            Device("AT21-NAC-secondary", "10.15.61.12", "6955"),
            Device("AT21-ncm", "10.15.61.13", "6955"),
            Device("AT21-switch", "10.15.61.20", "0815"),
        ),
        users=("rival",),
        usedby=("demo",),
        deployinfo_as_text=True,
        past=PastUpgrade("build", "SUCCESS", 3 * _DAY),
    ),
    Lab(name="AT33_New_NAC", controller="10.15.70.9", devices=(Device("at33-nac", "10.15.70.2"),), users=("demo",)),
    Lab(
        name="AT52_NCM_Only",
        controller="10.15.72.9",
        devices=(Device("at52-ncm", "10.15.72.2"),),
        users=("demo", "rival"),
        deployinfo_as_text=True,
        past=PastUpgrade("ga", "FAILURE", 2 * 3600.0),
    ),
    Lab(
        name="AT40_Rival_NAC",
        controller="10.15.80.9",
        devices=(Device("at40-nac", "10.15.80.2"),),
        users=("rival",),
        past=PastUpgrade("build", "SUCCESS", 5 * _DAY),
    ),
)


LOCK = "lock"
UNLOCK = "unlock"


class LabLocks:
    """The locks, by the lab's name."""

    def __init__(self) -> None:
        self._holders: dict[str, str] = {}

    def holder(self, lab: str) -> str | None:
        """Return the user who locked a lab; None if nobody did."""
        return self._holders.get(lab)

    def apply(self, lab: Lab, user: str, action: object) -> Mapping[str, Any]:
        """Lock or unlock a lab, also repeatedly. Raises Refusal (INVALID), or (CONFLICT) for another's lock."""
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
