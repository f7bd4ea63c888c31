"""Names of objects may have odd characters."""

import shlex

import pytest

ODD = [
    "plain",
    "two words",
    "it's",
    'say "hi"',
    "a;b|c&d",
    "$HOME",
    "`id`",
    "10.0.0.0/8",
    "x[1]",
    "a::b",
    "*",
    "M\u00fcnchen",
]


@pytest.mark.parametrize("name", ODD)
def test_address_name(cli, name):
    quoted = shlex.quote(name)
    cli.run_ok(f"config firewall address add {quoted} 10.1.2.0/24")
    try:
        assert f"edit {quoted} subnet 10.1.2.0/24" in cli.run_ok("show firewall address").splitlines()
    finally:
        cli.run_ok(f"config firewall address delete {quoted}")


@pytest.mark.parametrize("name", ["", "x" * 64], ids=["empty", "too long"])
def test_refused_name(cli, name):
    assert "invalid name" in cli.run(f"config firewall address add {shlex.quote(name)} 10.1.2.0/24")


@pytest.mark.xfail(reason="bug 0923456: control characters are taken")
def test_control_characters_are_refused(cli):
    assert "invalid name" in cli.run("config firewall address add 'a\tb' 10.1.2.0/24")
