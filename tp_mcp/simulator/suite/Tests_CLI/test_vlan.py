"""VLANs."""

import pytest

from fswlib.checks import assert_in_table, assert_not_in_table

SHOW = "show switch vlan"
ROW = r"vlan (\d+) (\S+)"


@pytest.fixture
def voice(cli):
    cli.run_ok("config switch vlan add 100 voice")
    yield ("100", "voice")
    cli.run("config switch vlan delete 100")


@pytest.mark.sanity
class TestVlan:
    def test_default_exists(self, cli):
        assert_in_table(cli, SHOW, ROW, ("1", "default"))

    def test_add(self, cli, voice, pace):
        pace.wait(4)
        assert_in_table(cli, SHOW, ROW, voice)

    def test_delete(self, cli, voice):
        cli.run_ok("config switch vlan delete 100")
        assert_not_in_table(cli, SHOW, ROW, voice)

    def test_default_cannot_be_deleted(self, cli):
        assert "cannot be deleted" in cli.run("config switch vlan delete 1")

    def test_twice(self, cli, voice):
        assert "already exists" in cli.run("config switch vlan add 100 voice")


@pytest.mark.parametrize("number", [0, 4095, -1])
def test_out_of_range(cli, number):
    assert "value out of range" in cli.run(f"config switch vlan add {number} bad")


@pytest.mark.xfail(reason="bug 0912345: a range of VLANs is not taken yet")
def test_range(cli):
    cli.run_ok("config switch vlan add 200-210 range")
