"""The state of the simulated TP, apart from the wire: who may do what, and what happens then.

Nothing here knows HTTP. Time is asked for, never waited for: what a moment shows follows from what was planned.
"""

from typing import Any

from tp_mcp.simulator.builds import BuildServer
from tp_mcp.simulator.clock import SimulatedClock
from tp_mcp.simulator.executions import RUNNING, Execution, ExecutionTable
from tp_mcp.simulator.faults import FaultBook
from tp_mcp.simulator.labs import DEFAULT_LABS, Lab
from tp_mcp.simulator.options import SimulatorOptions
from tp_mcp.simulator.refusals import Reason, Refusal
from tp_mcp.simulator.requests import RequestLog
from tp_mcp.simulator.testbeds import Testbeds, read_order
from tp_mcp.simulator.upgrades import PROGRESS
from tp_mcp.simulator.users import DEFAULT_USERS, User


class SimulatorState:
    """Labs, users, builds, upgrades, executions, faults, and the requests seen.

    Attributes:
        clock: simulated time.
        builds: what the build server has; may be replaced.
        labs: by name.
        users: by username.
        testbeds: the upgrades.
        executions: the runs.
        faults: what goes wrong at the moment.
        requests: what was asked so far.
        testcase_pulls: how often the test tree was asked for, each of which is a `git pull`.
        sso_only: whether minting a token leads to the single sign-on's login page.

    """

    def __init__(self, options: SimulatorOptions) -> None:
        self.clock = SimulatedClock(options.speed, start=options.start_time)
        self.builds = BuildServer()
        self.labs: dict[str, Lab] = {lab.name: lab for lab in DEFAULT_LABS}
        self.users: dict[str, User] = {user.username: user for user in DEFAULT_USERS}
        self.testbeds = Testbeds(DEFAULT_LABS, seed=options.seed, now=self.clock.now())
        self.executions = ExecutionTable(options.first_exec_id)
        self.faults = FaultBook()
        self.requests = RequestLog()
        self.testcase_pulls = 0
        self.sso_only = options.sso_only

    def add_lab(self, lab: Lab) -> None:
        """Add a lab, or replace the one of the same name."""
        self.labs[lab.name] = lab
        self.testbeds.add(lab, self.clock.now())

    def user_with(self, username: object, password: object) -> User:
        """Return the user whose credentials these are.

        Raises:
            Refusal: (INVALID) if they are nobody's.

        """
        user = self.users.get(username) if isinstance(username, str) else None
        if user is None or user.password != password:
            raise Refusal(Reason.INVALID, "Unable to log in with provided credentials.")
        return user

    def lab(self, name: object) -> Lab:
        """Return a lab by name.

        Raises:
            Refusal: (INVALID) if `name` is no string; (UNKNOWN) if there is no such lab.

        """
        if not isinstance(name, str) or not name:
            raise Refusal(Reason.INVALID, "the name of a testbed (string) is required")
        if name not in self.labs:
            raise Refusal(Reason.UNKNOWN, f"testbed '{name}' not found")
        return self.labs[name]

    def lab_for(self, username: str, name: object) -> Lab:
        """Return a lab that `username` may use.

        Raises:
            Refusal: (INVALID), (UNKNOWN) as for `lab`; (FORBIDDEN) if the user neither owns it nor is in its `usedby`.

        """
        lab = self.lab(name)
        if not lab.usable_by(username):
            raise Refusal(Reason.FORBIDDEN, f"user '{username}' may not use '{lab.name}'")
        return lab

    def start_upgrade(self, username: str, body: dict[str, Any]) -> dict[str, Any]:
        """Dispatch an upgrade and return what the POST answers.

        Raises:
            Refusal: if it cannot be dispatched.

        """
        lab = self.lab_for(username, body.get("testbed"))
        order = read_order(body, self.builds)
        tasks = self.testbeds.dispatch(lab, order, self.clock.now())
        return {
            "testbed": lab.name,
            "mode": order.mode,
            "build_number": order.answered_build,
            "target_ips": [task.ip for task in tasks],
            "tasks": [{"ip": task.ip, "celery_id": task.celery_id} for task in tasks],
        }

    def upgrade(self, username: str, testbed: str) -> dict[str, Any]:
        """Return what a GET of the testbed's upgrade answers.

        Raises:
            Refusal: if the testbed is unknown or not the user's.

        """
        return self.testbeds.view(self.lab_for(username, testbed), self.clock.now())

    def create_execution(self, username: str, body: dict[str, Any]) -> Execution:
        """Write the row of a new execution; somebody has to run it.

        Raises:
            Refusal: if the request is wrong, not allowed, or the lab busy.

        """
        user = body.get("user")
        if not isinstance(user, str) or not user:
            raise Refusal(Reason.INVALID, "user (string) is required")
        if user != username:
            raise Refusal(Reason.FORBIDDEN, f"user '{user}' is not the caller")
        lab = self.lab_for(username, body.get("lab"))
        return self.executions.create(lab, user, body, self.clock.now())

    def execution_for(self, username: str, exec_id: int) -> Execution:
        """Return an execution on a lab that `username` may use.

        Raises:
            Refusal: (UNKNOWN) or (FORBIDDEN).

        """
        execution = self.executions.get(exec_id)
        self.lab_for(username, execution.lab)
        return execution

    def executions_of(self, user: str) -> list[dict[str, Any]]:
        """Return the rows of the user's executions, the newest first."""
        return [row.row() for row in reversed(list(self.executions)) if row.user == user]

    def labs_of(self, user: str) -> list[dict[str, Any]]:
        """Return the labs that `user` may use."""
        return [self._lab_row(lab) for lab in self.labs.values() if lab.usable_by(user)]

    def running_build(self, lab: Lab) -> str | None:
        """Return the build of the device under test; None while it does not answer."""
        return self.testbeds.running_build(lab.device_under_test.ip, self.clock.now())

    def kill_worker_of_execution(self, exec_id: int) -> None:
        """Let the worker of an execution die: the row stays `Running`, its log stands still.

        Raises:
            Refusal: (UNKNOWN).

        """
        self.executions.put(self.executions.get(exec_id).lose_worker())

    def kill_workers_of_testbed(self, testbed: str) -> None:
        """Let the workers of a testbed's upgrade die: the status stays `PROGRESS`, `updated_at` stands still.

        Raises:
            Refusal: (UNKNOWN).

        """
        self.testbeds.kill_workers(self.lab(testbed), self.clock.now())

    def _lab_row(self, lab: Lab) -> dict[str, Any]:
        now = self.clock.now()
        upgrading = any(self.testbeds.status(device.ip, now) == PROGRESS for device in lab.targets)
        busy = upgrading or self.executions.in_flight_on(lab.name) is not None
        return {
            "name": lab.name,
            "status": RUNNING if busy else "Available",
            "users": list(lab.users),
            "usedby": list(lab.usedby),
            "deployinfo": lab.deployinfo(),
        }
