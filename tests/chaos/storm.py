"""What goes wrong: servers die, TP goes away, tokens expire, workers die, answers are spoiled."""

import contextlib
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx2

from tests.chaos.server import Server
from tests.chaos.tp import Tp

SPOILED = ("drop", "truncated", "html", "away", "malformed", "status", "redirect")
STRUCK = ("drop", "away", "status")
READS = ("get_execution", "get_upgrade", "list_labs", "list_executions")
PICKED_UP_SECONDS = 40.0
DEAD_SHARE = 0.06

KINDS = {"kill": 6, "away": 1, "expire": 2, "worker": 3, "revive": 2, "spoil": 5, "strike": 2, "read": 3}
"""How often each kind of trouble comes, relative to the others."""


@dataclass
class Storm:
    """Trouble, drawn from one seed."""

    tp: Tp
    servers: Sequence[Server]
    rng: random.Random
    speed: float
    most_dead: int
    done: Counter[str] = field(default_factory=Counter)
    dead: list[dict[str, object]] = field(default_factory=list)

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

    async def _kill_worker(self) -> None:
        now, record = await self.tp.now(), await self.tp.record()
        victims = [
            row
            for row in record["accepted"]
            # One that dies before it has begun leaves no trace that its start could be settled by.
            if row["end"] is None and not row["worker_died"] and now - row["at"] > PICKED_UP_SECONDS
        ]
        if victims and len(self.dead) < self.most_dead:
            row = self.rng.choice(victims)
            victim = {"exec_id": row["exec_id"]} if row["exec_id"] is not None else {"testbed": row["lab"]}
            await self.tp.post("kill_worker", **victim)
            self.dead.append(victim)
