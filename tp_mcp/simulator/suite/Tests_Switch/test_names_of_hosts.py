"""Names are resolved."""

import socket

import pytest


def address_of(cli, name):
    output = cli.run_ok(f"execute resolve {name}")
    if "getaddrinfo" in output:
        raise socket.gaierror(-3, output)
    return output.split()[-1]


@pytest.fixture
def update_server(cli):
    return address_of(cli, "update.example.test")


@pytest.mark.parametrize("name", ["update.example.test", "ntp.example.test", "log.example.test"])
def test_resolves(cli, name):
    assert address_of(cli, name).startswith("192.0.2.")


def test_update_server_is_used(update_server):
    assert update_server


def test_update_server_is_one(update_server):
    assert update_server.count(".") == 3
