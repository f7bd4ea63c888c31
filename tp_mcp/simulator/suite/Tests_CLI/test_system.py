"""The appliance's own state."""

import re

import pytest

from fswlib.checks import fields


@pytest.mark.sanity
@pytest.mark.smoke
class TestStatus:
    def test_version_has_build(self, cli):
        version = fields(cli.run_ok("get system status"))["Version"]
        print(f"running {version}")
        assert re.search(r"v\d+\.\d+\.\d+,build\d{4}$", version)

    def test_serial_number(self, cli):
        assert fields(cli.run_ok("get system status"))["Serial-Number"].startswith("S448EN")

    def test_hostname_is_in_prompt(self, cli):
        assert fields(cli.run_ok("get system status"))["Hostname"] == cli.hostname


@pytest.mark.sanity
class TestPerformance:
    def test_cpu_is_idle(self, cli):
        cpu = fields(cli.run_ok("get system performance"))["CPU states"]
        assert int(re.search(r"(\d+)% idle", cpu)[1]) > 50

    def test_memory(self, cli, pace):
        first = fields(cli.run_ok("get system performance"))["Memory states"]
        pace.wait(6)
        second = fields(cli.run_ok("get system performance"))["Memory states"]
        assert int(first.split("%")[0]) - int(second.split("%")[0]) < 5

    @pytest.mark.slow
    def test_no_leak_over_a_minute(self, cli, pace):
        used = []
        for _ in range(6):
            pace.wait(6)
            used.append(int(fields(cli.run_ok("get system performance"))["Memory states"].split("%")[0]))
        assert max(used) - min(used) < 10

    @pytest.mark.skip(reason="needs the fan tray of the 1048E")
    def test_fan_speed(self, cli):
        cli.run_ok("get system fan")


@pytest.mark.sanity
@pytest.mark.parametrize("name", ["mgmt", "internal", "port5"])
def test_interface_is_up(cli, name):
    output = cli.run_ok(f"get system interface {name}")
    assert f"[ {name} ]" in output
    assert "status: up" in output


def test_unknown_interface(cli):
    assert "entry not found" in cli.run("get system interface port99")


def test_unknown_command(cli):
    assert "command parse error before 'gte'" in cli.run("gte system status")


def test_ntp_is_synchronized(cli, pace):
    pace.wait(5)
    assert fields(cli.run_ok("get system ntp"))["synchronized"].startswith("yes")
