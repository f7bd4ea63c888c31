"""The embedded TP in a process of its own, and its control plane."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).parents[2]
START_SECONDS = 30.0
TOKEN_USER = "demo"


class Tp:
    """One simulated TP, played labs in it."""

    def __init__(self, base_url: str, control: httpx2.AsyncClient) -> None:
        self.base_url = base_url
        self._control = control

    async def post(self, call: str, **body: Any) -> dict[str, Any]:
        """Make a call of the control plane."""
        answer = await self._control.post(f"/_sim/{call}", json=body)
        answer.raise_for_status()
        result: dict[str, Any] = answer.json()
        return result

    async def record(self) -> dict[str, list[dict[str, Any]]]:
        """Return what became of every write."""
        result: dict[str, list[dict[str, Any]]] = (await self._control.get("/_sim/record")).json()
        return result

    async def now(self) -> float:
        """Return TP's own time."""
        return float((await self._control.get("/_sim/state")).json()["now"])

    async def heal(self) -> None:
        """Take every fault back."""
        (await self._control.delete("/_sim/faults")).raise_for_status()


@asynccontextmanager
async def simulated_tp(speed: float) -> AsyncIterator[Tp]:
    """Run a TP on a free port until the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tp_mcp", "simulate", "--port", "0", "--speed", f"{speed:g}",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, cwd=ROOT, env={**os.environ},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
        await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
        base_url = line.decode().split()[-1]
        async with httpx2.AsyncClient(base_url=base_url, timeout=20.0) as control:
            yield Tp(base_url, control)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait_for(process.wait(), START_SECONDS)
