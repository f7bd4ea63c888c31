"""A small network appliance: its configuration, its CLI, and the defects of the running build.

It has no side effects except on its own configuration: a command line in, the printed lines out.
"""

import asyncio
import shlex
from collections.abc import Callable

from tp_mcp.simulator.appliance.switching import Switching
from tp_mcp.simulator.testbeds.lab import Lab

RADIUS_SCHEMA = "radius-schema"
POE_UNIT = "poe-unit"

RADIUS_TABLE_LOST = (
    "radiusd: server table not loaded: /data/etc/radius.db has schema 11, expected 12 (migration 0042 was not run)"
)
_FAIL = "Command fail. Return code {code}"
_FIXED_ANSWERS = {
    "get system performance": [
        "CPU states: 3% user 2% system 0% nice 95% idle",
        "Memory states: 38% used",
        "Uptime: 0 days, 0 hours",
    ],
    "get system ntp": ["ntpsync: enable", "server: 10.15.1.1", "synchronized: yes, stratum 3"],
    "get system ha status": ["Mode: HA A-P", "Primary: node-1", "Secondary: node-2", "sync: in-sync"],
    "get router info routing-table": [
        "S* 0.0.0.0/0 [5/0] via 10.15.52.1, mgmt",
        "C 10.15.52.0/24 is directly connected, mgmt",
    ],
}
_POE_WATTS = 370
_FAST_FAILOVER_MS = 310
_SLOW_FAILOVER_MS = 1340


class Appliance:
    """One device; `running` returns number, version and defects of its build."""

    def __init__(self, hostname: str, running: Callable[[], tuple[str, str, frozenset[str]]]) -> None:
        self._hostname = hostname
        self._running = running
        self._vlans = {1: "default", 10: "staff", 20: "guests"}
        self._addresses: dict[str, str] = {"all": "0.0.0.0/0"}
        self._radius = {"corp-radius-1": "10.15.3.11", "corp-radius-2": "10.15.3.12"}
        self._failovers = 0
        self._commands: dict[str, Callable[[list[str]], list[str]]] = {
            "get system status": self._status,
            "get system interface": self._interface,
            "get log event": self._log_events,
            "show switch vlan": self._show_vlans,
            "config switch vlan add": self._add_vlan,
            "config switch vlan delete": self._delete_vlan,
            "show firewall address": self._show_addresses,
            "config firewall address add": self._add_address,
            "config firewall address delete": self._delete_address,
            "show user radius": self._show_radius,
            "config user radius add": self._add_radius,
            "config user radius delete": self._delete_radius,
            "diagnose test authserver radius": self._test_radius,
            "diagnose switch poe status": self._poe,
            "diagnose ha failover": self._failover,
            "execute ping": self._ping,
        }
        self._switching = Switching(self._defects, hostname)
        self._commands |= self._switching.commands

    @property
    def prompt(self) -> str:
        """The prompt at the end of every answer."""
        return f"{self._hostname} # "

    def answer(self, line: str) -> list[str]:
        """Return the lines that a command prints. Raises HungUpError: the appliance closes the console instead."""
        try:
            words = shlex.split(line)
        except ValueError:
            return ["command parse error: unbalanced quotes", _FAIL.format(code=-61)]
        if refused := self._switching.refused(line):
            return refused
        for length in range(len(words), 0, -1):
            name = " ".join(words[:length])
            if name in _FIXED_ANSWERS:
                return _FIXED_ANSWERS[name]
            if command := self._commands.get(name):
                return command(words[length:])
        return [f"command parse error before '{words[0] if words else ''}'", _FAIL.format(code=-61)]

    def _defects(self) -> frozenset[str]:
        return self._running()[2]

    def _status(self, _: list[str]) -> list[str]:
        build, version, _defects = self._running()
        return [
            f"Version: FSW-448E v{version},build{build}",
            "Serial-Number: S448EN5919000411",
            f"Hostname: {self._hostname}",
            "Burn in MAC: 04:d5:90:bf:2e:70",
            "System time: Fri May 29 21:26:50 2026",
        ]

    def _interface(self, words: list[str]) -> list[str]:
        known = {"mgmt": "10.15.52.152/24", "internal": "192.168.1.99/24", "port5": "0.0.0.0/0"}
        names = words or list(known)
        if unknown := [name for name in names if name not in known]:
            return [f"entry not found in datasource: '{unknown[0]}'", _FAIL.format(code=-3)]
        return [f"== [ {name} ] ip: {known[name]} status: up" for name in names]

    def _log_events(self, _: list[str]) -> list[str]:
        lines = ["level=notice msg='system started'"]
        if RADIUS_SCHEMA in self._defects():
            lines.append(f"level=critical daemon=radiusd msg='{RADIUS_TABLE_LOST}'")
        return lines

    def _show_vlans(self, _: list[str]) -> list[str]:
        return [f"vlan {number} {name}" for number, name in sorted(self._vlans.items())]

    def _add_vlan(self, words: list[str]) -> list[str]:
        number = int(words[0]) if len(words) == 2 and words[0].isdigit() else 0
        if not 1 <= number <= 4094:
            return ["value out of range: vlan id must be 1-4094", _FAIL.format(code=-651)]
        if number in self._vlans:
            return [f"vlan {number} already exists", _FAIL.format(code=-5)]
        self._vlans[number] = words[1]
        return []

    def _delete_vlan(self, words: list[str]) -> list[str]:
        number = int(words[0]) if words and words[0].isdigit() else 0
        if number == 1:
            return ["the default vlan cannot be deleted", _FAIL.format(code=-14)]
        if self._vlans.pop(number, None) is None:
            return ["entry not found in datasource", _FAIL.format(code=-3)]
        return []

    def _show_addresses(self, _: list[str]) -> list[str]:
        return [f"edit {shlex.quote(name)} subnet {subnet}" for name, subnet in self._addresses.items()]

    def _add_address(self, words: list[str]) -> list[str]:
        if len(words) != 2 or not words[0] or len(words[0]) > 63:
            return ["invalid name or subnet", _FAIL.format(code=-651)]
        self._addresses[words[0]] = words[1]
        return []

    def _delete_address(self, words: list[str]) -> list[str]:
        if not words or self._addresses.pop(words[0], None) is None:
            return ["entry not found in datasource", _FAIL.format(code=-3)]
        return []

    def _radius_broken(self) -> list[str]:
        return [RADIUS_TABLE_LOST, _FAIL.format(code=-61)] if RADIUS_SCHEMA in self._defects() else []

    def _show_radius(self, _: list[str]) -> list[str]:
        return self._radius_broken() or [f"edit {name} server {ip}" for name, ip in self._radius.items()]

    def _add_radius(self, words: list[str]) -> list[str]:
        if broken := self._radius_broken():
            return broken
        if len(words) != 2:
            return ["a name and a server are required", _FAIL.format(code=-651)]
        self._radius[words[0]] = words[1]
        return []

    def _delete_radius(self, words: list[str]) -> list[str]:
        if broken := self._radius_broken():
            return broken
        if not words or self._radius.pop(words[0], None) is None:
            return ["entry not found in datasource", _FAIL.format(code=-3)]
        return []

    def _test_radius(self, words: list[str]) -> list[str]:
        if broken := self._radius_broken():
            return broken
        if len(words) != 2 or words[0] not in self._radius:
            return ["no such server", _FAIL.format(code=-3)]
        return [f"authenticate '{words[1]}' against '{words[0]}' succeeded, server={self._radius[words[0]]}"]

    def _poe(self, _: list[str]) -> list[str]:
        budget = _POE_WATTS * 1000 if POE_UNIT in self._defects() else _POE_WATTS
        return [f"Unit power budget: {budget} W", "Unit guard band: 19 W", "port5: delivering power"]

    def _failover(self, _: list[str]) -> list[str]:
        self._failovers += 1
        took = _FAST_FAILOVER_MS if self._failovers % 2 else _SLOW_FAILOVER_MS
        return [f"failover finished, traffic resumed after {took} ms"]

    def _ping(self, words: list[str]) -> list[str]:
        if not words or words[0].startswith("198.51.100."):
            return ["5 packets transmitted, 0 packets received, 100% packet loss"]
        return [f"64 bytes from {words[0]}: icmp_seq=0 ttl=63 time=0.4 ms", "5 packets transmitted, 5 packets received"]


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
