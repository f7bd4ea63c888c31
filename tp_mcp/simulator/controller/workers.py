"""TP's background workers: they run executions on the controller and record their progress.

A real run has a task of its own. A played one has none: its row is brought up to date when somebody looks, or when a
request needs to know which labs are busy.
"""

import asyncio
import logging
from typing import Any

from tp_mcp.simulator.appliance.appliance import HOST, Consoles
from tp_mcp.simulator.controller.controller import Controller
from tp_mcp.simulator.executions.execution import Execution
from tp_mcp.simulator.executions.snapshot import CANCELLED, FAILED, INITIATING_SECONDS, RUNNING, Snapshot
from tp_mcp.simulator.refusals import Reason, Refusal
from tp_mcp.simulator.state import DEFAULT_SPEED, SimulatorState

_log = logging.getLogger(__name__)


class Workers:
    """One task per execution that is not played."""

    def __init__(self, state: SimulatorState, controller: Controller, consoles: Consoles) -> None:
        self._state = state
        self._controller = controller
        self._consoles = consoles
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def take(self, execution: Execution) -> None:
        """Run an execution in the background."""
        if execution.played is not None:
            return
        self._tasks[execution.exec_id] = asyncio.create_task(
            self._run(execution), name=f"execution {execution.exec_id}"
        )

    def look(self, exec_id: int) -> Execution:
        """Return an execution's row after a look at the controller and at the clock. Raises Refusal (UNKNOWN)."""
        table, now = self._state.executions, self._state.clock.now()
        execution = table.get(exec_id)
        run = self._controller.process_of(exec_id)
        if execution.status == RUNNING and run is not None:
            table.put(execution.observe(self._controller.snapshot(run), now))
        row = table.get(exec_id)
        if (later := row.at(now)) is not row:
            table.put(later)
            if not later.in_flight:
                self._abandon(exec_id)
        return later

    def settle(self) -> None:
        """Write down the ends that follow from the time alone, so that the table knows which labs are busy."""
        for exec_id in self._state.executions.take_due(self._state.clock.now()):
            self.look(exec_id)

    def look_at_those_of(self, user: str) -> None:
        """Look at every real execution of a user that is under way, and settle the others."""
        self.settle()
        for execution in self._state.executions.in_flight():
            if execution.user == user and execution.played is None:
                self.look(execution.exec_id)

    async def cancel(self, exec_id: int) -> Execution:
        """End an execution as `Cancelled`. Raises Refusal (UNKNOWN), or (INVALID) if it has ended already."""
        table, now = self._state.executions, self._state.clock.now()
        execution = self.look(exec_id)
        if not execution.in_flight:
            raise Refusal(Reason.INVALID, f"execution {exec_id} is not running ({execution.status})")
        run = self._controller.process_of(exec_id)
        if execution.played is not None and not execution.worker_died:
            table.put(execution.finish(CANCELLED, execution.played.snapshot(now), now))
        elif execution.worker_died or run is None:
            table.put(execution.give_up(CANCELLED, now))
        else:
            table.put(execution.finish(CANCELLED, self._controller.snapshot(run), now))
        await self._stop(exec_id)
        return table.get(exec_id)

    async def reboot_controller(self, exec_id: int) -> None:
        """Reboot the controller under an execution: its run is lost, its row unchanged. Raises Refusal (UNKNOWN)."""
        table = self._state.executions
        self.look(exec_id)
        table.put(table.get(exec_id).lose_controller())
        await self._stop(exec_id)

    def revive(self, exec_id: int) -> None:
        """Revive a worker whose script continued. Raises Refusal (UNKNOWN), or (INVALID) if nothing can be revived."""
        table, run = self._state.executions, self._controller.process_of(exec_id)
        self.look(exec_id)
        now = self._state.clock.now()
        row = table.get(exec_id).revive_worker().at(now)
        table.put(row)
        task = self._tasks.get(exec_id)
        if task is None or not task.done():
            return
        if run is None:
            self.take(row)
        else:
            table.put(row.finish(*self._controller.result(run, run.process.returncode or 0), now))

    async def join(self, exec_id: int) -> None:
        """Return once the script of an execution has ended and that is written down; for a played one, its time."""
        await self._ended(exec_id)
        if (played := self._state.executions.get(exec_id).played) is not None:
            await self._state.clock.wait_until(played.ends_at)
            self.look(exec_id)

    async def _ended(self, exec_id: int) -> None:
        if task := self._tasks.get(exec_id):
            await asyncio.wait({task})

    async def close(self) -> None:
        """End everything."""
        for exec_id in list(self._tasks):
            await self._stop(exec_id)

    def _abandon(self, exec_id: int) -> None:
        if task := self._tasks.get(exec_id):
            task.cancel()

    async def _stop(self, exec_id: int) -> None:
        self._abandon(exec_id)
        await self._ended(exec_id)

    async def _run(self, execution: Execution) -> None:
        try:
            await self._run_script(execution)
        except Exception:  # noqa: BLE001 - whatever went wrong, the lab must not stay busy
            _log.exception("execution %s could not be run", execution.exec_id)
            row = self._state.executions.get(execution.exec_id)
            self._state.executions.put(row.finish(FAILED, Snapshot(None, 0, ""), self._state.clock.now()))

    async def _run_script(self, execution: Execution) -> None:
        table, clock = self._state.executions, self._state.clock
        await clock.wait_until(execution.created_at + INITIATING_SECONDS)
        if table.get(execution.exec_id).worker_died:
            return
        run = await self._controller.start(execution, await self._rack(execution))
        try:
            table.put(table.get(execution.exec_id).begin(run.process.pid, clock.now()))
            status, snapshot = self._controller.result(run, await run.wait())
            table.put(table.get(execution.exec_id).finish(status, snapshot, clock.now()))
        finally:
            await run.stop()

    async def _rack(self, execution: Execution) -> dict[str, Any]:
        lab = self._state.lab(execution.lab)
        return {
            "testbed": lab.name,
            "controller": lab.controller,
            "exec_id": execution.exec_id,
            "devices": [{"name": device.name, "ip": device.ip} for device in lab.devices],
            "cli": {"host": HOST, "port": await self._consoles.port(lab)},
            "time_scale": self._state.suite_speed or self._state.clock.speed or DEFAULT_SPEED,
        }
