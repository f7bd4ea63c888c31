"""What goes wrong: servers die, TP goes away, tokens expire, workers and controllers die, answers are spoiled, and the
store is held by a foreign writer or its disk full.
"""

import contextlib
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from anyio.abc import TaskGroup

from tests.chaos import disk
from tests.chaos.server import Server
from tests.chaos.tp import Tp

SPOILED = ("drop", "truncated", "html", "away", "malformed", "status", "redirect")
STRUCK = ("drop", "away", "status")
READS = ("get_execution", "get_upgrade", "list_labs", "list_executions")
PICKED_UP_SECONDS = 40.0
DEAD_SHARE = 0.06

KINDS = {
    "kill": 6, "away": 1, "expire": 2, "worker": 3, "reboot": 1, "revive": 2, "spoil": 5, "strike": 2, "read": 3,
    "held": 2, "full": 2,
}  # fmt: skip
"""How often each kind of trouble comes, relative to the others."""


@dataclass
class Storm:
    """Trouble, drawn from one seed."""

    tp: Tp
    servers: Sequence[Server]
    rng: random.Random
    speed: float
    most_dead: int
    state_dir: Path
    longest_disk_fault: float
    tasks: TaskGroup
    done: Counter[str] = field(default_factory=Counter)
    dead: list[dict[str, object]] = field(default_factory=list)
    rebooted: int = 0

    async def strike(self) -> None:
        """Let one thing go wrong."""
        [kind] = self.rng.choices(list(KINDS), weights=list(KINDS.values()))
        self.done[kind] += 1
        match kind:
            case "kill":
                self.rng.choice(self.servers).kill()
            case "away":
                await self.tp.post("faults", kind="away", seconds=self.rng.uniform(1.0, 3.0) * self.speed)
            case "expire":
                await self.tp.post("expire_tokens")
            case "worker":
                await self._kill_worker()
            case "reboot":
                await self._reboot_controller()
            case "held" | "full":
                self._spoil_disk(kind)
            case "revive":
                await self.revive()
            case "spoil":
                await self._fault(self.rng.choice(("start_pytest", "start_upgrade")), SPOILED, when="after")
            case "strike":
                await self._fault(self.rng.choice(("start_pytest", "start_upgrade")), STRUCK, when="before")
            case _:
                await self._fault(self.rng.choice(READS), (*SPOILED, "delay"), when="before", times=3)

    async def revive(self) -> None:
        """Let one of the dead workers go on."""
        if self.dead:
            # A job that ended just before its worker was to die, or was cancelled since, has none that could go on.
            with contextlib.suppress(httpx2.HTTPStatusError):
                await self.tp.post("revive_worker", **self.dead.pop(self.rng.randrange(len(self.dead))))

    async def _fault(self, endpoint: str, kinds: Sequence[str], *, when: str, times: int = 1) -> None:
        shape = self.rng.choice(("other", "nulls", "text"))
        body = {"endpoint": endpoint, "kind": self.rng.choice(kinds), "when": when, "times": times, "shape": shape}
        await self.tp.post("faults", **body, status=503, delay_seconds=0.5)

    def _spoil_disk(self, kind: str) -> None:
        seconds, server = self.rng.uniform(0.3, self.longest_disk_fault), self.rng.choice(self.servers)
        if kind == "held":
            self.tasks.start_soon(disk.hold, self.state_dir, seconds)
        elif (process_id := server.process_id) is not None:
            self.tasks.start_soon(disk.fill, process_id, seconds)

    async def _kill_worker(self) -> None:
        victims = await self._alive()
        if victims and len(self.dead) < self.most_dead:
            row = self.rng.choice(victims)
            victim = {"exec_id": row["exec_id"]} if row["exec_id"] is not None else {"testbed": row["lab"]}
            await self.tp.post("kill_worker", **victim)
            self.dead.append(victim)

    async def _reboot_controller(self) -> None:
        victims = [row["exec_id"] for row in await self._alive() if row["exec_id"] is not None]
        if victims and self.rebooted < self.most_dead // 2:
            # It may have ended since the record was read.
            with contextlib.suppress(httpx2.HTTPStatusError):
                await self.tp.post("reboot_controller", exec_id=self.rng.choice(victims))
                self.rebooted += 1

    async def _alive(self) -> list[dict[str, Any]]:
        now, record = await self.tp.now(), await self.tp.record()
        return [
            row
            for row in record["accepted"]
            # One that dies before it has begun leaves no trace that its start could be settled by.
            if row["end"] is None and not row["worker_died"] and now - row["at"] > PICKED_UP_SECONDS
        ]
