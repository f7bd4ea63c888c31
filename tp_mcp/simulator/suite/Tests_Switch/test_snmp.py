"""SNMP."""

import pytest


@pytest.mark.parametrize("oid", ["sysName", "sysUpTime", "ifNumber", "ifDescr"])
def test_get(cli, oid):
    assert cli.run_ok(f"diagnose snmp get {oid}").startswith(f"{oid} = ")


@pytest.mark.parametrize("user", ["monitor", "backup"])
def test_user_is_listed(cli, user):
    users = [line.split()[1] for line in cli.run("show system snmp user").splitlines()]
    assert user in users


def test_privacy_is_on(cli):
    output = cli.run("show system snmp user")
    if "monitor" not in output:
        pytest.fail(f"no user monitor: {output}")
    assert "auth-priv" in output
