"""The appliances' CLIs on local TCP ports: a line in, lines and a prompt out."""

import asyncio
from collections.abc import Callable

from tp_mcp.simulator.appliance.appliance import Appliance
from tp_mcp.simulator.testbeds.lab import Lab

HOST = "127.0.0.1"


class Consoles:
    """One console per requested lab; `running` is None while its device under test does not answer."""

    def __init__(self, running: Callable[[Lab], tuple[str, str, frozenset[str]] | None]) -> None:
        self._running = running
        self._servers: dict[str, asyncio.Server] = {}
        self._connections: set[asyncio.Task[None]] = set()

    async def port(self, lab: Lab) -> int:
        """Return the port that the lab's console listens on, opening it if necessary."""
        if lab.name not in self._servers:
            appliance = Appliance(lab.device_under_test.name, lambda: self._running(lab) or ("", "", frozenset()))

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await self._serve(lab, appliance, reader, writer)

            self._servers[lab.name] = await asyncio.start_server(serve, HOST, 0)
        port: int = self._servers[lab.name].sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """Close the ports and their connections."""
        for server in self._servers.values():
            server.close()
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        self._servers.clear()

    async def _serve(
        self, lab: Lab, appliance: Appliance, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        try:
            await self._talk(lab, appliance, reader, writer)
        except (ConnectionError, asyncio.CancelledError, ValueError):
            pass  # The other side hung up, the simulator ends, or a line was longer than the reader takes.
        finally:
            writer.close()

    async def _talk(
        self, lab: Lab, appliance: Appliance, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._running(lab) is None:
            return
        writer.write(appliance.prompt.encode())
        await writer.drain()
        while (line := await reader.readline()) and self._running(lab) is not None:
            answer = [*appliance.answer(line.decode("utf-8", errors="replace").rstrip("\r\n")), appliance.prompt]
            writer.write("\n".join(answer).encode())
            await writer.drain()
