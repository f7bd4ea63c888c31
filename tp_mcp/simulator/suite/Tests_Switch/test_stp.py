"""Spanning tree."""

import pytest


@pytest.mark.parametrize("vlan", [1, 10, 20])
def test_root_is_known(cli, vlan):
    assert f"vlan {vlan} root" in cli.run_ok(f"show switch stp {vlan}")


@pytest.mark.parametrize("vlan", [1, 10, 20])
def test_forwards(cli, vlan):
    output = cli.run(f"show switch stp {vlan}")
    state = output.split()[-1]
    assert state == "forwarding", f"vlan {vlan} does not forward: {output}"


class TestPriority:
    @pytest.fixture
    def lowest(self, cli):
        cli.run_ok("config switch stp priority 0")
        return cli

    def test_becomes_root(self, lowest):
        assert "root" in lowest.run("show switch stp 1")

    def test_stays_root(self, lowest, pace):
        pace.wait(5)
        assert "root" in lowest.run("show switch stp 1")
