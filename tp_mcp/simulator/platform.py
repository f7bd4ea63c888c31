"""One simulated TP without its HTTP interface: state, controller, consoles and workers."""

import asyncio
import shutil
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from tp_mcp.simulator.appliance.appliance import Consoles
from tp_mcp.simulator.controller.controller import Controller, new_scratch_directory
from tp_mcp.simulator.controller.workers import Workers
from tp_mcp.simulator.executions.execution import Execution, read_exec_id
from tp_mcp.simulator.request_log import KILL_EXECUTION
from tp_mcp.simulator.state import SimulatorOptions, SimulatorState
from tp_mcp.simulator.testbeds.lab import Lab
from tp_mcp.simulator.token_issuer import TokenIssuer


class Platform:
    """A test platform, as an async context manager that stops what it started."""

    def __init__(self, options: SimulatorOptions | None = None) -> None:
        self.options = options or SimulatorOptions()
        self.state = SimulatorState(self.options)
        self.tokens = TokenIssuer(self._wall, self.options.token_lifetime_seconds)
        self._temporary = self.options.workdir is None
        self._workdir = self.options.workdir or new_scratch_directory()
        self._workdir.mkdir(parents=True, exist_ok=True)
        self.controller = Controller(self._workdir.resolve())
        self._consoles = Consoles(self._running)
        self.workers = Workers(self.state, self.controller, self._consoles)
        self._tree: asyncio.Task[dict[str, Any]] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Kill all runs, close the consoles, remove the temporary directory."""
        if self._tree is not None:
            self._tree.cancel()
            await asyncio.wait({self._tree})
        await self.workers.close()
        await self.controller.forget()
        await self._consoles.close()
        if self._temporary:
            shutil.rmtree(self._workdir, ignore_errors=True)

    async def reset(self) -> None:
        """Start again with the same options; tokens minted before stay valid."""
        await self.workers.close()
        await self.controller.forget()
        await self._consoles.close()
        self.state = SimulatorState(self.options)
        self.workers = Workers(self.state, self.controller, self._consoles)

    async def advance(self, seconds: float) -> None:
        """Advance the time, and let the workers act on it. Raises ValueError if `seconds` is negative."""
        self.state.clock.advance(seconds)
        await asyncio.sleep(0)
        self.workers.settle()

    def start_execution(self, username: str, body: dict[str, Any]) -> Execution:
        """Start pytest for a user, with the fields of the POST. Raises Refusal if TP refuses."""
        self.workers.settle()
        execution = self.state.create_execution(username, body)
        self.workers.take(execution)
        return execution

    async def kill_execution(self, username: str, body: dict[str, Any]) -> Execution:
        """End a running execution for a user, with the fields of the POST. Raises Refusal if TP refuses."""
        with self.state.record.refusing(KILL_EXECUTION, username, body):
            exec_id = read_exec_id(body.get("id"))
            self.state.execution_for(username, exec_id)
            execution = await self.workers.cancel(exec_id)
        self.state.record.accept(KILL_EXECUTION, username, {**body, "lab": execution.lab}, exec_id=exec_id)
        return execution

    async def testcases(self) -> dict[str, Any]:
        """Return the test tree; it is collected once for all requests."""
        self.state.testcase_pulls += 1
        if self._tree is None or (self._tree.done() and self._tree.exception() is not None):
            self._tree = asyncio.create_task(self._collect())
        return await asyncio.shield(self._tree)

    def view(self) -> dict[str, Any]:
        """Return the state for the control plane."""
        self.workers.settle()
        now = self.state.clock.now()
        rows = (row.at(now, with_log=False) for row in self.state.executions)
        return {
            **self.time_view(),
            "testcase_pulls": self.state.testcase_pulls,
            "running_builds": {lab.name: self.state.running_build(lab) for lab in self.state.labs.values()},
            "executions": [{"exec_id": row.exec_id, "status": row.status} for row in rows],
        }

    def time_view(self) -> dict[str, Any]:
        """Return `now`, `speed` and `paused`."""
        clock = self.state.clock
        return {"now": clock.now(), "speed": clock.speed, "paused": clock.paused}

    async def _collect(self) -> dict[str, Any]:
        return build_tree(await self.controller.collect())

    def _wall(self) -> float:
        # A reset replaces the state and its clock.
        return self.state.clock.wall()

    def _running(self, lab: Lab) -> tuple[str, str, frozenset[str]] | None:
        build = self.state.running_build(lab)
        if build is None:
            return None
        return build, self.state.builds.version(build), self.state.builds.defects(build)


def build_tree(ids: Iterable[str]) -> dict[str, Any]:
    """Return `{"children": [{"identifier", "name", "children"?}]}`: directories, files, then leaves.

    Identifiers begin with a slash; a leaf is named `Class::test` or `test`.
    """
    root: dict[str, Any] = {"children": []}
    nodes: dict[str, dict[str, Any]] = {"": root}
    for one in ids:
        path, _, leaf = one.partition("::")
        parent = root
        identifier = ""
        for part in path.split("/"):
            identifier = f"{identifier}/{part}"
            if identifier not in nodes:
                nodes[identifier] = {"identifier": identifier, "name": part, "children": []}
                parent["children"].append(nodes[identifier])
            parent = nodes[identifier]
        parent["children"].append({"identifier": f"{identifier}::{leaf}", "name": leaf})
    return root
