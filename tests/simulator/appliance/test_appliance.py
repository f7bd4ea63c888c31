import asyncio

import pytest

from tests.support.patience import PATIENCE_SECONDS
from tp_mcp.simulator.appliance.appliance import HOST, RADIUS_TABLE_LOST, Appliance, Consoles
from tp_mcp.simulator.testbeds.lab import DEFAULT_LABS


def appliance(*defects: str) -> Appliance:
    return Appliance("fsw", lambda: ("6955", "7.6.5", frozenset(defects)))


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("get system status", "Version: FSW-448E v7.6.5,build6955"),
        ("get system interface nowhere", "entry not found in datasource: 'nowhere'"),
        ("config switch vlan delete 77", "entry not found in datasource"),
        ("config firewall address delete", "entry not found in datasource"),
        ("config user radius add lonely", "a name and a server are required"),
        ("diagnose test authserver radius nobody alice", "no such server"),
        ("get 'system", "command parse error: unbalanced quotes"),
        ("", "command parse error before ''"),
    ],
)
def test_a_command_is_answered(command: str, answer: str) -> None:
    assert appliance().answer(command)[0] == answer


@pytest.mark.parametrize(
    "command",
    [
        "show user radius",
        "config user radius add a 192.0.2.1",
        "config user radius delete corp-radius-1",
        "diagnose test authserver radius corp-radius-1 alice",
    ],
)
def test_a_lost_radius_table_is_named_by_every_command_that_needs_it(command: str) -> None:
    assert appliance("radius-schema").answer(command)[0] == RADIUS_TABLE_LOST
    assert appliance().answer(command)[:1] != [RADIUS_TABLE_LOST]


async def test_a_console_hangs_up_when_the_appliance_reboots() -> None:
    running = [("6955", "7.6.5", frozenset[str]()), None]
    consoles = Consoles(lambda _: running[0])
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            port = await consoles.port(DEFAULT_LABS[0])
            assert await consoles.port(DEFAULT_LABS[0]) == port
            reader, writer = await asyncio.open_connection(HOST, port)
            assert await reader.readuntil(b" # ") == b"at16-nac-1 # "
            writer.write(b"get system ntp\n")
            assert b"synchronized: yes" in await reader.readuntil(b" # ")
            running[0] = None
            writer.write(b"get system ntp\n")
            assert await reader.read() == b""
            writer.close()
            reader, writer = await asyncio.open_connection(HOST, port)
            assert await reader.read() == b""
            writer.close()
    finally:
        await consoles.close()


async def test_closing_hangs_up_on_who_is_connected() -> None:
    consoles = Consoles(lambda _: ("6955", "7.6.5", frozenset()))
    async with asyncio.timeout(PATIENCE_SECONDS):
        reader, writer = await asyncio.open_connection(HOST, await consoles.port(DEFAULT_LABS[0]))
        await reader.readuntil(b" # ")
        await consoles.close()
        assert await reader.read() == b""
        writer.close()
