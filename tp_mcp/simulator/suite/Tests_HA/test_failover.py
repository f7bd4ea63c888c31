"""High availability."""

import re

import pytest


@pytest.mark.smoke
def test_members_are_in_sync(cli):
    assert "sync: in-sync" in cli.run_ok("get system ha status")


class TestFailover:
    def test_traffic_resumes_quickly(self, cli):
        """Flaky: every second failover of an appliance takes too long."""
        output = cli.run_ok("diagnose ha failover")
        assert int(re.search(r"after (\d+) ms", output)[1]) < 1000

    def test_route_stays(self, cli):
        assert "0.0.0.0/0" in cli.run_ok("get router info routing-table")

    @pytest.mark.parametrize("peer", ["10.15.52.1", "10.15.1.1"])
    def test_peer_answers(self, cli, peer):
        assert "5 packets received" in cli.run_ok(f"execute ping {peer}")

    def test_dead_peer(self, cli):
        assert "100% packet loss" in cli.run("execute ping 198.51.100.7")
