"""DHCP service."""

import re

import pytest


class NoLease(Exception):
    """The server gave no address."""


def lease(cli, pool):
    output = cli.run_ok(f"execute dhcp lease-request {pool}")
    found = re.search(r"lease (\S+) from", output)
    if not found:
        raise NoLease(f"client {id(output):#x} got no lease: {output}")
    return found[1]


@pytest.mark.parametrize("pool", ["staff", "guests", "voice"])
class TestLease:
    def test_given(self, cli, pool):
        assert lease(cli, pool).startswith("10.")

    def test_given_twice(self, cli, pool, pace):
        lease(cli, pool)
        pace.wait(2)
        assert lease(cli, pool)


@pytest.mark.parametrize("pool", ["staff", "guests"])
def test_answer_names_the_pool(cli, pool):
    output = cli.run_ok(f"execute dhcp lease-request {pool}")
    assert f"from pool {pool} for" in output
