"""The appliance's switching, services and traffic, with the defects of a build.

Values that change on a real device (process ids, memory addresses, times, sessions) change here too.
"""

import random
from collections.abc import Callable

STP_CRASH = "stp-crash"
MAC_FROZEN = "mac-frozen"
SNMP_USERS = "snmp-users"
DHCP_POOL = "dhcp-pool"
LLDP_FORMAT = "lldp-format"
CONSOLE_DROP = "console-drop"
GENERATOR_AWAY = "generator-away"
CLOCK_SKEW = "clock-skew"
PORT_FLAP = "port-flap"
ACL_ORDER = "acl-order"
CONSERVE_MODE = "conserve-mode"
DNS_DOWN = "dns-down"

_FAIL = "Command fail. Return code {code}"
_PORTS = 8
_VLANS = (1, 10, 20)
_NEIGHBOURS = {"port1": "core-sw-1", "port2": "core-sw-2", "port3": "access-sw-7"}
_LEASES = {"staff": 10, "guests": 20, "voice": 100}
_POLICIES = {10: "allow-dns", 17: "allow-web", 30: "deny-rest"}


class HungUpError(ConnectionError):
    """The appliance closes the console in the middle of a command."""


class Switching:
    """The commands of this part, by the words that they begin with."""

    def __init__(self, defects: Callable[[], frozenset[str]], seed: str) -> None:
        self._defects = defects
        self._random = random.Random(seed)  # noqa: S311 - noise, nothing secret
        self.commands: dict[str, Callable[[list[str]], list[str]]] = {
            "show switch stp": self._stp,
            "config switch stp priority": self._stp_priority,
            "diagnose switch mac-table": self._mac_table,
            "diagnose switch mac-learn": self._mac_learn,
            "show system snmp user": self._snmp_users,
            "diagnose snmp get": self._snmp_get,
            "execute dhcp lease-request": self._dhcp_request,
            "get system dhcp pool": self._dhcp_pool,
            "get switch lldp neighbors": self._lldp,
            "diagnose hardware test": self._hardware,
            "execute traffic-test": self._traffic,
            "get system time": self._time,
            "diagnose sys ntp offset": self._offset,
            "get switch port": self._port,
            "diagnose firewall match": self._policy,
            "diagnose sys load": self._load,
            "execute resolve": self._resolve,
        }

    def refused(self, line: str) -> list[str]:
        """Return the answer to every changing command if the build refuses changes; otherwise nothing."""
        if CONSERVE_MODE in self._defects() and line.startswith("config "):
            return [
                f"cmdbsvr[{self._pid()}]: conserve mode entered, {self._random.randint(3, 9)} MB free: change rejected",
                _FAIL.format(code=-9),
            ]
        return []

    def _pid(self) -> int:
        return self._random.randint(200, 32000)

    def _memory(self) -> str:
        return f"0x{self._random.getrandbits(44):012x}"

    def _moment(self) -> str:
        minute, second = self._random.randint(0, 59), self._random.randint(0, 59)
        return f"2026-05-29 21:{minute:02}:{second:02}.{self._random.randint(0, 999):03}"

    def _stp(self, words: list[str]) -> list[str]:
        if STP_CRASH in self._defects():
            return [
                f"{self._moment()} stpd[{self._pid()}]: segmentation fault at {self._memory()}, core dumped",
                _FAIL.format(code=-1),
            ]
        vlan = words[0] if words else "1"
        return [f"vlan {vlan} root {self._random.choice(['04:d5:90:bf:2e:70', '04:d5:90:bf:2e:71'])} state forwarding"]

    def _stp_priority(self, _: list[str]) -> list[str]:
        return self._stp([]) if STP_CRASH in self._defects() else []

    def _mac_table(self, words: list[str]) -> list[str]:
        if MAC_FROZEN in self._defects():
            return ["0 entries"]
        vlan = int(words[0]) if words else 1
        return [f"00:0c:29:{vlan:02x}:00:{port:02x} vlan {vlan} port{port} dynamic" for port in range(1, 4)]

    def _mac_learn(self, _: list[str]) -> list[str]:
        return ["learned 0 addresses"] if MAC_FROZEN in self._defects() else ["learned 3 addresses"]

    def _snmp_broken(self) -> list[str]:
        if SNMP_USERS not in self._defects():
            return []
        engine = f"0x80003044{self._random.getrandbits(48):012x}"
        return [f"snmpd: USM user table is corrupt for engine {engine}, reinstall required", _FAIL.format(code=-61)]

    def _snmp_users(self, _: list[str]) -> list[str]:
        return self._snmp_broken() or ["edit monitor security auth-priv", "edit backup security auth-no-priv"]

    def _snmp_get(self, words: list[str]) -> list[str]:
        return self._snmp_broken() or [f"{words[0] if words else 'sysName'} = STRING: {self._random.randint(1, 999)}"]

    def _dhcp_request(self, words: list[str]) -> list[str]:
        pool = words[0] if words else "staff"
        if DHCP_POOL in self._defects():
            transaction = f"{self._random.getrandbits(32):08x}"
            return [
                f"dhcpd: xid {transaction}: no free lease in pool {pool}, {self._random.randint(50, 250)} abandoned"
            ]
        return [f"lease 10.{_LEASES.get(pool, 9)}.0.{self._random.randint(10, 250)} from pool {pool} for 3600 s"]

    def _dhcp_pool(self, words: list[str]) -> list[str]:
        free = 0 if DHCP_POOL in self._defects() else self._random.randint(20, 200)
        return [f"pool: {words[0] if words else 'staff'}", f"free: {free}", "state: serving"]

    def _lldp(self, words: list[str]) -> list[str]:
        port = words[0] if words else "port1"
        name = _NEIGHBOURS.get(port, "none")
        if LLDP_FORMAT in self._defects():
            return [f"{port}|{name}|{self._random.randint(60, 120)}"]
        return [f"Local port: {port}", f"System name: {name}", f"TTL: {self._random.randint(60, 120)}"]

    def _hardware(self, words: list[str]) -> list[str]:
        if CONSOLE_DROP in self._defects():
            raise HungUpError
        return [f"{words[0] if words else 'all'}: pass"]

    def _traffic(self, words: list[str]) -> list[str]:
        if GENERATOR_AWAY in self._defects():
            host = f"10.15.{self._random.randint(60, 99)}.{self._random.randint(2, 250)}"
            return [f"traffic generator at {host}:{self._random.randint(4000, 4999)}: connection refused (errno 111)"]
        return [f"stream {words[0] if words else '1'}: 100000 sent, 100000 received, 0 lost"]

    def _time(self, _: list[str]) -> list[str]:
        return ["year: 1970" if CLOCK_SKEW in self._defects() else "year: 2026", f"time: {self._moment()}"]

    def _offset(self, _: list[str]) -> list[str]:
        if CLOCK_SKEW in self._defects():
            return [
                f"ntpd[{self._pid()}]: clock step of {self._random.randint(10**9, 2 * 10**9)} s exceeds panic threshold"
            ]
        return [f"offset {self._random.randint(1, 90)} us"]

    def _port(self, words: list[str]) -> list[str]:
        name = words[0] if words else "port1"
        if PORT_FLAP in self._defects():
            return [
                f"{name} link down, last change {self._random.randint(1, 9)} s ago, flaps {self._random.randint(9, 99)}"
            ]
        return [f"{name} link up, last change {self._random.randint(900, 9999)} s ago, flaps 0"]

    def _policy(self, words: list[str]) -> list[str]:
        wanted = words[0] if words else "web"
        session = f"{self._random.getrandbits(32):08x}"
        number = (
            30
            if ACL_ORDER in self._defects()
            else next((number for number, name in _POLICIES.items() if name.endswith(wanted)), 30)
        )
        return [f"session {session}: policy {number} {_POLICIES[number]}"]

    def _load(self, _: list[str]) -> list[str]:
        free = self._random.randint(3, 9) if CONSERVE_MODE in self._defects() else self._random.randint(1800, 2600)
        return [f"free memory: {free} MB", f"processes: {self._random.randint(90, 120)}"]

    def _resolve(self, words: list[str]) -> list[str]:
        name = words[0] if words else "update.example.test"
        if DNS_DOWN in self._defects():
            return [f"getaddrinfo({name}): Temporary failure in name resolution (id {self._random.randint(1, 65535)})"]
        return [f"{name} has address 192.0.2.{self._random.randint(1, 254)}"]
