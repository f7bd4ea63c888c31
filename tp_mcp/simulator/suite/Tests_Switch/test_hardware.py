"""Self tests of the hardware."""

import pytest

PARTS = ["cpu", "memory", "fan", "psu", "asic", "flash"]


@pytest.mark.parametrize("part", PARTS)
def test_self_test(cli, part):
    assert cli.run_ok(f"diagnose hardware test {part}") == f"{part}: pass"


@pytest.fixture
def tested(cli):
    cli.run_ok("diagnose hardware test all")
    return cli


def test_runs_after_all_tests(tested):
    assert "Version" in tested.run_ok("get system status")
