"""Server processes over one store, each behind a real MCP client; killed, and replaced."""

import os
import signal
import sys
from pathlib import Path
from typing import cast

import anyio
import yaml
from mcp import Client, StdioServerParameters
from mcp.types import RequestParamsMeta, TextContent

from tests.chaos.tp import ROOT
from tp_mcp.connectors.loader import load_builtin_manifest

READY_SECONDS = 30.0
CALL_SECONDS = 30.0
INTERVAL_FACTOR = 0.05
STALLED_AFTER_SECONDS = 6.0
NOT_STARTED_AFTER_SECONDS = 15.0


def write_connector(path: Path) -> None:
    """Write the connector with limits that fit a TP which works many times faster than a real one."""
    manifest = yaml.safe_load((ROOT / "connectors" / "tp.yaml").read_text(encoding="utf-8"))
    assert manifest["id"] == load_builtin_manifest().manifest.id
    for name in ("start_upgrade", "run_pytest"):
        manifest["tools"][name]["async"] |= {
            "stalled_after_sec": STALLED_AFTER_SECONDS,
            "not_started_after_sec": NOT_STARTED_AFTER_SECONDS,
            "max_polls": 10_000,
        }
    path.write_text(yaml.safe_dump(manifest, sort_keys=False), encoding="utf-8")


class Server:
    """One window: a client with the server process that it spawned, and the next one after that was killed."""

    def __init__(self, name: str, base_url: str, directory: Path) -> None:
        self.kills = 0
        self._pid_file = directory / f"{name}.pid"
        self._log = directory / f"{name}.log"
        self._base_url, self._directory = base_url, directory
        self._client: Client | None = None
        self._ready, self._gone = anyio.Event(), anyio.Event()
        self._closing = False

    async def run(self) -> None:
        """Keep a server there until `close`."""
        while not self._closing:
            self._gone = anyio.Event()
            try:
                async with Client(self._parameters(), read_timeout_seconds=CALL_SECONDS) as self._client:
                    self._ready.set()
                    await self._gone.wait()
            except Exception:  # noqa: BLE001 -- whatever a client makes of its server's death, the next one takes over
                self._gone.set()
            finally:
                self._client, self._ready = None, anyio.Event()

    async def call(self, conversation: str, tool: str, /, **arguments: object) -> tuple[str, bool] | None:
        """Call a tool; return its text and whether it is an error, or None where the server died over it."""
        with anyio.move_on_after(READY_SECONDS):
            await self._ready.wait()
        client, gone, answer = self._client, self._gone, None
        if client is None:
            return None
        meta = cast("RequestParamsMeta", {"threadId": conversation})
        async with anyio.create_task_group() as tasks:

            async def leave_with_the_server() -> None:
                await gone.wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(leave_with_the_server)
            try:
                answer = await client.call_tool(tool, dict(arguments), meta=meta)
            except Exception:  # noqa: BLE001 -- as above
                answer = None
            tasks.cancel_scope.cancel()
        if answer is None:
            return None
        text = "\n".join(block.text for block in answer.content if isinstance(block, TextContent))
        return text, bool(answer.is_error)

    @property
    def process_id(self) -> int | None:
        """The server process; None while there is none."""
        if self._client is None or self._gone.is_set():
            return None
        return int(self._pid_file.read_text())

    def kill(self) -> None:
        """Kill the server process, which gets no chance to say anything."""
        if (process_id := self.process_id) is not None:
            os.kill(process_id, signal.SIGKILL)
            self.kills += 1
            self._gone.set()

    def close(self) -> None:
        """Let the server end as when its client does."""
        self._closing = True
        self._gone.set()

    def _parameters(self) -> StdioServerParameters:
        command = f'echo $$ > "{self._pid_file}"; exec "{sys.executable}" -m tp_mcp serve 2>> "{self._log}"'
        return StdioServerParameters(
            command="/bin/sh",
            args=["-c", command],
            cwd=ROOT,
            env={
                "TP_MCP_BASE_URL": self._base_url,
                "TP_MCP_CONFIRM": "nothing",
                "TP_MCP_USERNAME": "demo",
                "TP_MCP_PASSWORD": "demo-password",
                "TP_MCP_STATE_DIR": str(self._directory / "state"),
                "TP_MCP_CONFIG_FILE": os.devnull,
                "TP_MCP_CONNECTOR": str(self._directory / "connector.yaml"),
                "TP_MCP_INTERVAL_FACTOR": f"{INTERVAL_FACTOR}",
                "PYTHONPATH": str(ROOT),
            },
        )
