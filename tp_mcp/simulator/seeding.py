"""Adding to the state from JSON.

    {"labs": [{"name", "controller", "devices": [{"name", "ip", "build"?}], "users": [...], "usedby"?: [...],
               "deployinfo_as_text"?: bool, "past"?: {"mode", "status", "seconds_ago"}}],
     "builds": [{"number", "version", "defects"?: ["radius-schema", "poe-unit"]}],
     "ga": {"7.6.6": "6958"},
     "users": [{"username", "password", "email"}],
     "sso_only": true}

A lab, build or user of a name that exists is replaced.
"""

from typing import Any

from tp_mcp.simulator.builds import Build, BuildServer
from tp_mcp.simulator.labs import Device, Lab, PastUpgrade
from tp_mcp.simulator.refusals import Reason, Refusal
from tp_mcp.simulator.state import SimulatorState
from tp_mcp.simulator.users import User


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


def _build(one: dict[str, Any]) -> Build:
    return Build(one["number"], one["version"], frozenset(one.get("defects", ())))
