"""The table of MAC addresses."""

import pytest

from fswlib.checks import assert_in_table

ROW = r"(\S+) vlan (\d+) (port\d) dynamic"


@pytest.mark.parametrize("port", [1, 2, 3])
@pytest.mark.parametrize("vlan", [10, 20])
def test_learned(cli, vlan, port):
    row = (f"00:0c:29:{vlan:02x}:00:{port:02x}", str(vlan), f"port{port}")
    assert_in_table(cli, f"diagnose switch mac-table {vlan}", ROW, row)


def test_learns_again(cli, pace):
    pace.wait(3)
    assert cli.run_ok("diagnose switch mac-learn") == "learned 3 addresses"
