"""The control plane under `/_sim/`: no login, never struck by a fault, never counted as a request of TP.

| call | effect |
|---|---|
| `GET /_sim/state` | `now` (epoch seconds), `speed`, `paused`, `testcase_pulls`, `running_builds`, `executions` |
| `POST /_sim/reset` | everything as at the start; runs are killed; tokens stay valid |
| `POST /_sim/seed` | add: `labs`, `builds`, `ga`, `users`, `played` labs; set `sso_only` (see `seed`) |
| `POST /_sim/advance` `{"seconds"}` | step the time |
| `POST /_sim/pause`, `POST /_sim/resume` | stop or start the clock |
| `POST /_sim/speed` `{"speed"}` | simulated seconds per real second |
| `POST /_sim/token` `{"username", "lifetime_seconds"?}` | mint a token, as a single sign-on would |
| `POST /_sim/expire_tokens` | expire every token minted so far |
| `GET`, `POST`, `DELETE /_sim/faults` | list, add one (see `faults`; `seconds` or `times` limits it), remove all |
| `POST /_sim/kill_worker` `{"testbed"}` or `{"exec_id"}` | its workers die: the status stays, signs of life stop |
| `POST /_sim/revive_worker` `{"testbed"}` or `{"exec_id"}` | a dead worker continues, as if it had only been frozen |
| `POST /_sim/reboot_controller` `{"exec_id"}` | the run is lost: `Running` until the 6-hour safety net |
| `POST /_sim/hang_next_upgrade` `{"ip"}` | the device does not come back from its next upgrade, which ends `TIMEOUT` |
| `GET`, `DELETE /_sim/requests` | list or clear the requests |
| `GET /_sim/record` | the outcome of every write: `accepted`, `refused`, `struck` (see `WriteRecord`) |
| `GET /_sim/processes` | processes on the controller |

`state`, `reset` and `seed` answer with the whole state, the other POSTs but `token` and `faults` with `now`, `speed`
and `paused` alone. A row of the record is

    {"number", "endpoint", "user", "lab", "asked": {...}, "at" (simulated), "real_at",
     accepted: "exec_id", "tasks": [[ip, celery_id], ...], "worker_died", "end": {"status", "at", "counts"} or null
     refused:  "reason", "status" (400, 401, 403, 404, 409), "message"
     struck:   "fault"}

and numbers count all three kinds together. `end` is null while a job has none, as one that lost its worker; `counts`
is null for an upgrade.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tp_mcp.simulator.executions.played_runs import played_labs
from tp_mcp.simulator.faults import read_fault
from tp_mcp.simulator.refusals import Reason, Refusal
from tp_mcp.simulator.state import SimulatorState
from tp_mcp.simulator.testbeds.build_server import Build, BuildServer
from tp_mcp.simulator.testbeds.lab import Device, Lab, PastUpgrade, PlayedRuns
from tp_mcp.simulator.token_issuer import User
from tp_mcp.simulator.wire.responses import json_object, status_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from tp_mcp.simulator.platform import Platform


def routes(platform: "Platform", endpoints: frozenset[str]) -> list[Route]:
    """Return the control plane's routes; `endpoints` are the names a fault may have."""
    control = ControlPlane(platform, endpoints)
    acts = (
        *(control.advance, control.pause, control.resume, control.speed, control.expire_tokens),
        *(control.kill_worker, control.revive_worker, control.reboot_controller, control.hang_next_upgrade),
    )

    def answering_with_time(act: Callable[["Request"], Awaitable[None]]) -> Callable[["Request"], Awaitable[Response]]:
        async def answer(request: "Request") -> Response:
            await act(request)
            return JSONResponse(platform.time_view())

        return answer

    return [
        Route("/_sim/state", control.state),
        Route("/_sim/processes", control.processes),
        Route("/_sim/record", control.record),
        Route("/_sim/faults", control.faults, methods=["GET", "POST", "DELETE"]),
        Route("/_sim/requests", control.requests, methods=["GET", "DELETE"]),
        *(
            Route(f"/_sim/{post.__name__}", post, methods=["POST"])
            for post in (control.reset, control.seed, control.token)
        ),
        *(Route(f"/_sim/{act.__name__}", answering_with_time(act), methods=["POST"]) for act in acts),
    ]


class ControlPlane:
    """One method per call."""

    def __init__(self, platform: "Platform", endpoints: frozenset[str]) -> None:
        self._platform = platform
        self._endpoints = endpoints

    async def state(self, _: "Request") -> "Response":
        """Show the state."""
        return JSONResponse(self._platform.view())

    async def reset(self, _: "Request") -> "Response":
        """Start again."""
        await self._platform.reset()
        return JSONResponse(self._platform.view())

    async def seed(self, request: "Request") -> "Response":
        """Add labs, builds, users."""
        seed(self._platform.state, await json_object(request))
        return JSONResponse(self._platform.view())

    async def advance(self, request: "Request") -> None:
        """Step the time."""
        await self._platform.advance(await _number(request, "seconds"))

    async def pause(self, _: "Request") -> None:
        """Stop the clock."""
        self._platform.state.clock.pause()

    async def resume(self, _: "Request") -> None:
        """Start the clock."""
        self._platform.state.clock.resume()

    async def speed(self, request: "Request") -> None:
        """Set the speed."""
        self._platform.state.clock.set_speed(await _number(request, "speed"))

    async def token(self, request: "Request") -> "Response":
        """Mint a token for a user, without a password."""
        body = await json_object(request)
        user = self._platform.state.users.get(body.get("username", ""))
        if user is None:
            raise Refusal(Reason.UNKNOWN, f"no user '{body.get('username')}'")
        return JSONResponse({"token": self._platform.tokens.mint(user, body.get("lifetime_seconds"))})

    async def expire_tokens(self, _: "Request") -> None:
        """Expire all tokens."""
        self._platform.tokens.expire_all()

    async def faults(self, request: "Request") -> "Response":
        """List faults, add one, or take all back."""
        state = self._platform.state
        if request.method == "POST":
            state.faults.add(read_fault(await json_object(request), self._endpoints, state.clock.now()))
        elif request.method == "DELETE":
            state.faults.clear()
        return JSONResponse({"faults": state.faults.view()})

    async def kill_worker(self, request: "Request") -> None:
        """Kill workers."""
        body, state = await json_object(request), self._platform.state
        if "exec_id" in body:
            state.executions.put(self._platform.workers.look(body["exec_id"]).lose_worker())
        else:
            state.testbeds.kill_workers(state.lab(body.get("testbed", "")), state.clock.now())

    async def revive_worker(self, request: "Request") -> None:
        """Revive dead workers."""
        body, state = await json_object(request), self._platform.state
        if "exec_id" in body:
            self._platform.workers.revive(body["exec_id"])
        else:
            state.testbeds.revive_workers(state.lab(body.get("testbed", "")))

    async def reboot_controller(self, request: "Request") -> None:
        """Reboot the controller."""
        await self._platform.workers.reboot_controller((await json_object(request)).get("exec_id", 0))

    async def hang_next_upgrade(self, request: "Request") -> None:
        """Make a device hang in its next upgrade."""
        self._platform.state.testbeds.hang_next_upgrade((await json_object(request)).get("ip", ""))

    async def requests(self, request: "Request") -> "Response":
        """Show or clear the requests."""
        if request.method == "DELETE":
            self._platform.state.requests.clear()
        return JSONResponse(self._platform.state.requests.view())

    async def record(self, _: "Request") -> "Response":
        """Show the outcome of the writes."""
        view = self._platform.state.record.view()
        refused = [row | {"status": status_of(row["reason"])} for row in view["refused"]]
        # A request may have held lone surrogates, which only escapes can carry.
        return Response(json.dumps(view | {"refused": refused}), media_type="application/json")

    async def processes(self, _: "Request") -> "Response":
        """Show the processes on the controller."""
        return JSONResponse({"processes": [asdict(seen) for seen in self._platform.controller.processes]})


async def _number(request: "Request", name: str) -> float:
    value: Any = (await json_object(request)).get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise Refusal(Reason.INVALID, f"{name} must be a number of at least 0")
    return float(value)


MOST_PLAYED_LABS = 10_000
_FEWEST_DIGITS = 3


def seed(state: SimulatorState, body: dict[str, Any]) -> None:
    """Add labs, builds and users to the state.

        {"labs": [{"name", "controller", "devices": [{"name", "ip", "build"?}], "users": [...], "usedby"?: [...],
                   "deployinfo_as_text"?: bool, "past"?: {"mode", "status", "seconds_ago"}}],
         "builds": [{"number", "version", "defects"?: ["radius-schema", "poe-unit"]}],
         "ga": {"7.6.6": "6958"},
         "users": [{"username", "password", "email"}],
         "sso_only": true,
         "played": {"labs": ["L001", ...]} or {"prefix": "L", "count": 500}, both with
                   "shortest_seconds"?: 30, "longest_seconds"?: 120, "failed_share"?: 0.1}

    A lab, build or user replaces the existing one of the same name. `played` adds labs of user `demo`, each with one
    nac device without an upgrade, whose executions are **played**: a timeline in simulated time instead of a real
    pytest (see `played_runs`). `prefix` and `count` (at most 10,000) name them `L001`, `L002`, ...

    Raises:
        Refusal: (INVALID) if it is not of the shape above; nothing was added then.
    """
    try:
        labs = [_lab(one) for one in body.get("labs", [])]
        builds = {
            one["number"]: Build(one["number"], one["version"], frozenset(one.get("defects", ())))
            for one in body.get("builds", [])
        }
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
