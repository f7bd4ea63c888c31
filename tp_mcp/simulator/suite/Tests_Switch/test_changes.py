"""Changes of the configuration under load."""

import pytest


@pytest.mark.parametrize("number", [301, 302, 303, 304])
def test_add_a_vlan(cli, number):
    cli.run_ok(f"config switch vlan add {number} load{number}")
    cli.run_ok(f"config switch vlan delete {number}")


@pytest.mark.parametrize("name", ["load-1", "load-2", "load-3"])
def test_add_an_address(cli, name):
    cli.run_ok(f"config firewall address add {name} 10.9.0.0/16")
    cli.run_ok(f"config firewall address delete {name}")
