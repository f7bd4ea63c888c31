"""Which addresses may be connected to.

A name is resolved once for each attempt and the address that was checked is the one that is connected to, so a name
that answers otherwise the second time gains nothing.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_NAT64 = IPv6Network("64:ff9b::/96")

Address = IPv4Address | IPv6Address


class AddressRefusedError(Exception):
    """None of the addresses of a name may be connected to."""


def allowed_address(addresses: Iterable[str], *, private: bool) -> str:
    """Return the first address that may be connected to.

    Args:
        addresses: what a name resolves to.
        private: whether private, loopback and link-local addresses are allowed as well.

    Raises:
        AddressRefusedError: there is none.

    """
    for address in addresses:
        parsed = ip_address(address.partition("%")[0])
        meant = _meant(parsed)
        if meant.is_multicast or meant.is_unspecified:
            continue
        if private or meant.is_global:
            return address
    raise AddressRefusedError


def _meant(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, where it stands for one."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else address)
