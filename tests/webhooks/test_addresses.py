"""Which addresses may be connected to."""

import pytest

from tp_mcp.webhooks.courier import AddressRefusedError, allowed_address

PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fd00::1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a00:1",
    "2002:a00:1::",
    "2001:0:4136:e378:8000:63bf:f5ff:fffe",
]
NEVER = ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "::ffff:0.0.0.0"]
PUBLIC = ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_refused_unless_it_is_allowed(address: str) -> None:
    with pytest.raises(AddressRefusedError):
        allowed_address([address], private=False)
    assert allowed_address([address], private=True) == address


@pytest.mark.parametrize("address", NEVER)
@pytest.mark.parametrize("private", [True, False])
def test_an_address_of_no_one_machine_is_always_refused(address: str, private: bool) -> None:
    with pytest.raises(AddressRefusedError):
        allowed_address([address], private=private)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed(address: str) -> None:
    assert allowed_address([address], private=False) == address


def test_of_several_addresses_the_first_one_that_is_allowed_counts() -> None:
    assert allowed_address(["10.0.0.1", "93.184.216.34", "93.184.216.35"], private=False) == "93.184.216.34"


def test_a_name_without_addresses_is_refused() -> None:
    with pytest.raises(AddressRefusedError):
        allowed_address([], private=True)
