"""What the appliance logs."""

import pytest


@pytest.mark.parametrize("level", ["notice"])
def test_level(cli, level):
    assert f"level={level}" in cli.run_ok("get log event")


@pytest.mark.parametrize("count", range(5))
def test_repeated_reads_agree(cli, count):
    assert cli.run_ok("get log event") == cli.run_ok("get log event")
