"""RADIUS servers: they have to survive every upgrade."""

import logging

import pytest

from fswlib.checks import assert_in_table, assert_not_in_table, table

log = logging.getLogger(__name__)
SHOW = "show user radius"
ROW = r"edit (\S+) server (\S+)"
SERVERS = {"corp-radius-1": "10.15.3.11", "corp-radius-2": "10.15.3.12"}


@pytest.mark.sanity
class TestServerTable:
    def test_table_survives_reboot(self, cli):
        log.info("expecting the servers configured before the upgrade: %s", sorted(SERVERS))
        assert dict(table(cli, SHOW, ROW)) == SERVERS

    @pytest.mark.parametrize("server", sorted(SERVERS))
    def test_server_is_listed(self, cli, server):
        assert_in_table(cli, SHOW, ROW, (server, SERVERS[server]))


class TestConfiguration:
    def test_add_and_delete(self, cli, pace):
        row = ("lab-radius", "10.15.3.99")
        cli.run_ok("config user radius add lab-radius 10.15.3.99")
        pace.wait(4)
        assert_in_table(cli, SHOW, ROW, row)
        cli.run_ok("config user radius delete lab-radius")
        assert_not_in_table(cli, SHOW, ROW, row)

    def test_delete_unknown(self, cli):
        assert "entry not found" in cli.run("config user radius delete nobody")


@pytest.mark.parametrize("user", ["alice", "bob smith"])
def test_authenticate(cli, pace, user):
    pace.wait(3)
    output = cli.run(f"diagnose test authserver radius corp-radius-1 '{user}'")
    print(output)
    assert f"authenticate '{user}' against 'corp-radius-1' succeeded" in output


def test_help_is_there(cli):
    assert "command parse error" in cli.run("help-radius")
