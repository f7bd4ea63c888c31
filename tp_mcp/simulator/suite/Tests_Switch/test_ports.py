"""Links."""

import pytest


def assert_link_up(cli, port):
    output = cli.run_ok(f"get switch port {port}")
    assert "link up" in output, f"link of {port} is not up: {output}"


@pytest.mark.parametrize("number", range(1, 9))
def test_link(cli, number):
    assert_link_up(cli, f"port{number}")


def test_link_after_a_while(cli, pace):
    pace.wait(8)
    assert_link_up(cli, "port1")
