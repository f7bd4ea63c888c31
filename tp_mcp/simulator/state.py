"""The state of the simulated TP, without HTTP: permissions, and the effects of requests.

Nothing waits for time: the state of a moment follows from the plans made before.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tp_mcp.simulator.executions.execution import Execution
from tp_mcp.simulator.executions.execution_table import ExecutionTable
from tp_mcp.simulator.executions.snapshot import RUNNING
from tp_mcp.simulator.faults import FaultBook
from tp_mcp.simulator.refusals import Reason, Refusal
from tp_mcp.simulator.request_log import LOCK_LAB, START_PYTEST, START_UPGRADE, RequestLog, WriteRecord
from tp_mcp.simulator.simulated_clock import SimulatedClock
from tp_mcp.simulator.testbeds.build_server import BuildServer
from tp_mcp.simulator.testbeds.device_upgrade import PROGRESS
from tp_mcp.simulator.testbeds.lab import DEFAULT_LABS, Lab, LabLocks
from tp_mcp.simulator.testbeds.upgrades import Testbeds, read_order
from tp_mcp.simulator.token_issuer import DEFAULT_USERS, User

DEFAULT_SPEED = 20.0
DEFAULT_TOKEN_LIFETIME_SECONDS = 12 * 3600.0


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """How the simulated TP behaves.

    Attributes:
        speed: simulated seconds per real second, for everything TP does itself. Zero starts with time standing still.
        suite_speed: the same for the waits of the sample tests; `speed` when None, and `DEFAULT_SPEED` when time stands
            still.
        workdir: the scratch directory, made when it does not exist; a temporary one, removed at the end, when None.
            Its path must need no quoting in a shell, because TP pastes it into its script as it is.
        token_lifetime_seconds: how long a minted token is valid, in real (not scaled) seconds.
        sso_only: True for a production TP: `/token-auth/` answers with the login page of the single sign-on.
        start_time: the simulated time at the start, in seconds since the epoch; the real time when None.

    The users are `demo` (password `demo-password`) and `rival` (password `rival-password`).
    """

    speed: float = DEFAULT_SPEED
    suite_speed: float | None = None
    seed: int = 0
    workdir: Path | None = None
    first_exec_id: int = 446
    token_lifetime_seconds: float = DEFAULT_TOKEN_LIFETIME_SECONDS
    sso_only: bool = False
    start_time: float | None = None


class SimulatorState:
    """Labs, users, builds, upgrades, executions, faults, and the requests seen."""

    def __init__(self, options: SimulatorOptions) -> None:
        self.clock = SimulatedClock(options.speed, start=options.start_time)
        self.builds = BuildServer()
        self.labs: dict[str, Lab] = {lab.name: lab for lab in DEFAULT_LABS}
        self._lab_texts = {lab.name: _lab_texts(lab) for lab in DEFAULT_LABS}
        self.users: dict[str, User] = {user.username: user for user in DEFAULT_USERS}
        self.testbeds = Testbeds(DEFAULT_LABS, seed=options.seed, now=self.clock.now())
        self.executions = ExecutionTable(options.first_exec_id, options.seed)
        self.locks = LabLocks()
        self.faults = FaultBook()
        self.requests = RequestLog()
        self.record = WriteRecord(self.clock, self.executions, self.testbeds)
        # Each request for the test tree is a `git pull`.
        self.testcase_pulls = 0
        self.sso_only = options.sso_only
        self.suite_speed = options.suite_speed

    def add_lab(self, lab: Lab) -> None:
        """Add a lab, or replace the one of the same name."""
        self.labs[lab.name] = lab
        self._lab_texts[lab.name] = _lab_texts(lab)
        self.testbeds.add(lab, self.clock.now())

    def user_with(self, username: object, password: object) -> User:
        """Return the user whose credentials these are. Raises Refusal (INVALID) if they are nobody's."""
        user = self.users.get(username) if isinstance(username, str) else None
        if user is None or user.password != password:
            raise Refusal(Reason.INVALID, "Unable to log in with provided credentials.")
        return user

    def lab(self, name: object) -> Lab:
        """Return a lab. Raises Refusal (INVALID) if `name` is no string, (UNKNOWN) if there is no such lab."""
        if not isinstance(name, str) or not name:
            raise Refusal(Reason.INVALID, "the name of a testbed (string) is required")
        if name not in self.labs:
            raise Refusal(Reason.UNKNOWN, f"testbed '{name}' not found")
        return self.labs[name]

    def lab_for(self, username: str, name: object) -> Lab:
        """Return a lab. Raises Refusal as `lab` does, and (FORBIDDEN) if the user neither owns nor may use it."""
        lab = self.lab(name)
        if not lab.usable_by(username):
            raise Refusal(Reason.FORBIDDEN, f"user '{username}' may not use '{lab.name}'")
        return lab

    def start_upgrade(self, username: str, body: dict[str, Any]) -> dict[str, Any]:
        """Dispatch an upgrade and return the answer to the POST. Raises Refusal if it cannot be dispatched."""
        with self.record.refusing(START_UPGRADE, username, body):
            lab = self.lab_for(username, body.get("testbed"))
            order = read_order(body, self.builds)
            tasks = self.testbeds.dispatch(lab, order, self.clock.now())
        self.record.accept(START_UPGRADE, username, body, tasks=tasks)
        return {
            "testbed": lab.name,
            "mode": order.mode,
            "build_number": order.answered_build,
            "target_ips": [task.ip for task in tasks],
            "tasks": [{"ip": task.ip, "celery_id": task.celery_id} for task in tasks],
        }

    def create_execution(self, username: str, body: dict[str, Any]) -> Execution:
        """Write the row of a new execution, which the caller has to run. Raises Refusal if TP refuses."""
        with self.record.refusing(START_PYTEST, username, body):
            user = _named_user(username, body)
            lab = self.lab_for(username, body.get("lab"))
            execution = self.executions.create(lab, user, body, self.clock.now())
        self.record.accept(START_PYTEST, username, body, exec_id=execution.exec_id)
        return execution

    def lock_lab(self, username: str, body: dict[str, Any]) -> Mapping[str, Any]:
        """Lock or unlock a lab, and return the answer to the POST. Raises Refusal if TP refuses."""
        with self.record.refusing(LOCK_LAB, username, body):
            user = _named_user(username, body)
            answer = self.locks.apply(self.lab_for(username, body.get("name")), user, body.get("action"))
        self.record.accept(LOCK_LAB, username, body)
        return answer

    def execution_for(self, username: str, exec_id: int) -> Execution:
        """Return an execution on a lab that `username` may use. Raises Refusal (UNKNOWN) or (FORBIDDEN)."""
        execution = self.executions.get(exec_id)
        self.lab_for(username, execution.lab)
        return execution

    def executions_of(self, user: str) -> str:
        """Return the rows of the user's executions in JSON, the newest first."""
        return f"[{','.join(self.executions.texts_of(user, self.clock.now()))}]"

    def labs_of(self, user: str) -> str:
        """Return the labs that `user` may use in JSON."""
        now = self.clock.now()
        texts = (self._lab_texts[lab.name][self._busy(lab, now)] for lab in self.labs.values() if lab.usable_by(user))
        return f"[{','.join(texts)}]"

    def running_build(self, lab: Lab) -> str | None:
        """Return the build of the device under test; None while it does not answer."""
        return self.testbeds.running_build(lab.device_under_test.ip, self.clock.now())

    def _busy(self, lab: Lab, now: float) -> bool:
        if self.locks.holder(lab.name) is not None or self.executions.in_flight_on(lab.name) is not None:
            return True
        return any(self.testbeds.status(device.ip, now) == PROGRESS for device in lab.targets)


def _named_user(username: str, body: dict[str, Any]) -> str:
    user = body.get("user")
    if not isinstance(user, str) or not user:
        raise Refusal(Reason.INVALID, "user (string) is required")
    if user != username:
        raise Refusal(Reason.FORBIDDEN, f"user '{user}' is not the caller")
    return user


def _lab_texts(lab: Lab) -> tuple[str, str]:
    row = {"name": lab.name, "users": lab.users, "usedby": lab.usedby, "deployinfo": lab.deployinfo()}
    return json.dumps(row | {"status": "Available"}), json.dumps(row | {"status": RUNNING})
