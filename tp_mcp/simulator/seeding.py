"""Adding to the state from JSON.

    {"labs": [{"name", "controller", "devices": [{"name", "ip", "build"?}], "users": [...], "usedby"?: [...],
               "deployinfo_as_text"?: bool, "past"?: {"mode", "status", "seconds_ago"}}],
     "builds": [{"number", "version", "defects"?: ["radius-schema", "poe-unit"]}],
     "ga": {"7.6.6": "6958"},
     "users": [{"username", "password", "email"}],
     "sso_only": true,
     "played": {"labs": ["L001", ...]} or {"prefix": "L", "count": 500}, both with
               "shortest_seconds"?: 30, "longest_seconds"?: 120, "failed_share"?: 0.1}

A lab, build or user of a name that exists is replaced. `played` makes labs of user `demo`, with one nac device each
that was never upgraded, whose executions are **played**: a timeline in simulated time instead of a real pytest (see the
module `played`). Their upgrades are as everywhere. `prefix` and `count` (at most 10,000) name them `L001`, `L002`, ...
"""

from typing import Any

from tp_mcp.simulator.build_server import Build, BuildServer
from tp_mcp.simulator.lab import Device, Lab, PastUpgrade, PlayedRuns
from tp_mcp.simulator.played import played_labs
from tp_mcp.simulator.refusals import Reason, Refusal
from tp_mcp.simulator.state import SimulatorState
from tp_mcp.simulator.token_issuer import User

MOST_PLAYED_LABS = 10_000
_FEWEST_DIGITS = 3


def seed(state: SimulatorState, body: dict[str, Any]) -> None:
    """Add what `body` describes.

    Raises:
        Refusal: (INVALID) if it is not of the shape above; nothing was added then.

    """
    try:
        labs = [_lab(one) for one in body.get("labs", [])]
        builds = {one["number"]: _build(one) for one in body.get("builds", [])}
        users = [User(**one) for one in body.get("users", [])]
        ga = dict(body.get("ga", {}))
        labs += _played(body["played"], state) if "played" in body else []
    except (TypeError, KeyError, ValueError) as problem:
        raise Refusal(Reason.INVALID, f"the seed cannot be read: {problem!r}") from None
    state.builds = BuildServer({**state.builds.builds, **builds}, {**state.builds.ga, **ga})
    state.users |= {user.username: user for user in users}
    state.sso_only = bool(body.get("sso_only", state.sso_only))
    for lab in labs:
        state.add_lab(lab)


def _lab(one: dict[str, Any]) -> Lab:
    past = one.get("past")
    return Lab(
        name=one["name"],
        controller=one["controller"],
        devices=tuple(Device(**device) for device in one["devices"]),
        users=tuple(one["users"]),
        usedby=tuple(one.get("usedby", ())),
        deployinfo_as_text=bool(one.get("deployinfo_as_text", False)),
        past=PastUpgrade(**past) if past else None,
    )


def _played(one: dict[str, Any], state: SimulatorState) -> list[Lab]:
    runs = {name: value for name, value in one.items() if name not in {"labs", "prefix", "count"}}
    names = _names(one["prefix"], one["count"]) if "labs" not in one else one["labs"]
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise TypeError("played.labs must be a list of names")
    taken = [device.ip for lab in state.labs.values() for device in lab.devices]
    return list(played_labs(names, PlayedRuns(**runs), taken))


def _names(prefix: str, count: int) -> list[str]:
    if not 0 < count <= MOST_PLAYED_LABS:
        raise ValueError(f"played.count must be between 1 and {MOST_PLAYED_LABS}")
    digits = max(_FEWEST_DIGITS, len(str(count)))
    return [f"{prefix}{number:0{digits}}" for number in range(1, count + 1)]


def _build(one: dict[str, Any]) -> Build:
    return Build(one["number"], one["version"], frozenset(one.get("defects", ())))
