"""Neighbours."""

import pytest

from fswlib.checks import fields

NEIGHBOURS = {"port1": "core-sw-1", "port2": "core-sw-2", "port3": "access-sw-7"}


@pytest.fixture
def neighbour(cli, request):
    return fields(cli.run_ok(f"get switch lldp neighbors {request.param}"))


@pytest.mark.parametrize("port", sorted(NEIGHBOURS))
def test_name(cli, port):
    assert fields(cli.run_ok(f"get switch lldp neighbors {port}"))["System name"] == NEIGHBOURS[port]


@pytest.mark.parametrize("port", sorted(NEIGHBOURS))
def test_name_is_short(cli, port):
    name = fields(cli.run_ok(f"get switch lldp neighbors {port}"))["System name"]
    assert len(name) < 32


@pytest.mark.parametrize("neighbour", sorted(NEIGHBOURS), indirect=True)
def test_full_name(neighbour):
    assert neighbour["System name"].islower()
