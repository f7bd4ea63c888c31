"""The clock."""

import pytest


@pytest.mark.parametrize("attempt", range(3))
def test_offset_is_small(cli, attempt):
    output = cli.run_ok("diagnose sys ntp offset")
    assert output.startswith("offset"), f"attempt {attempt}: {output}"


def test_offset_unit(cli):
    output = cli.run_ok("diagnose sys ntp offset")
    assert output.endswith(" us")


def test_offset_in_numbers(cli):
    output = cli.run_ok("diagnose sys ntp offset")
    word, value, _ = output.split(" ", 2)
    if word != "offset":
        raise ValueError(f"not an offset: {output}")
    assert int(value) < 100
