"""Which policy takes a session."""

import re

import pytest


def policy_of(cli, service):
    return re.search(r"policy (\d+) (\S+)", cli.run_ok(f"diagnose firewall match {service}")).groups()


def assert_allowed(cli, service):
    number, name = policy_of(cli, service)
    assert name.startswith("allow-"), f"session to {service} is denied by policy {number} ({name})"


@pytest.mark.parametrize("service", ["dns", "web"])
class TestAllowed:
    def test_at_once(self, cli, service):
        assert_allowed(cli, service)

    def test_still(self, cli, service, pace):
        pace.wait(4)
        assert_allowed(cli, service)

    def test_again(self, cli, service):
        assert_allowed(cli, service)
        assert_allowed(cli, service)


def test_rest_is_denied(cli):
    assert policy_of(cli, "gopher") == ("30", "deny-rest")
