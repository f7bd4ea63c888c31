"""The build server: the firmware builds, and the defects of some of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

BAD_BUILD = "6957"
_IMAGE_BUILD = re.compile(r"build(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Build:
    """A firmware build.

    Attributes:
        number: as the build server spells it; leading zeros matter.
        defects: names of its defects: `radius-schema` (the RADIUS server table is not loaded after the
            reboot), `poe-unit` (the PoE budget is shown in milliwatts but labelled as watts), and those of `switching`.
    """

    number: str
    version: str
    defects: frozenset[str] = frozenset()


_KNOWN = (
    Build("0815", "7.4.9"),
    Build("6950", "7.6.4"),
    Build("6955", "7.6.5"),
    Build(BAD_BUILD, "7.6.6", frozenset({"radius-schema", "poe-unit"})),
    Build("6958", "7.6.6", frozenset({"stp-crash", "lldp-format", "dhcp-pool", "poe-unit"})),
    Build("6959", "7.6.6", frozenset({"snmp-users", "mac-frozen", "clock-skew", "radius-schema"})),
    Build("6960", "7.6.6", frozenset({"acl-order", "port-flap", "console-drop", "dhcp-pool"})),
    Build("6961", "7.6.6", frozenset({"conserve-mode", "generator-away", "stp-crash"})),
    Build("6962", "7.6.6", frozenset({"dns-down", "snmp-users", "lldp-format", "acl-order"})),
    Build("6963", "7.6.6", frozenset({"clock-skew", "generator-away", "mac-frozen", "console-drop", "radius-schema"})),
)


@dataclass(frozen=True, slots=True)
class BuildServer:
    """The builds by number, and the number of each version's newest GA build."""

    builds: Mapping[str, Build] = field(default_factory=lambda: {build.number: build for build in _KNOWN})
    ga: Mapping[str, str] = field(default_factory=lambda: {"7.4.9": "0815", "7.6.4": "6950", "7.6.5": "6955"})

    def defects(self, number: str) -> frozenset[str]:
        """Return the defects of build `number`; none for an unknown build."""
        build = self.builds.get(number)
        return build.defects if build else frozenset()

    def version(self, number: str) -> str:
        """Return the version that build `number` belongs to, `0.0.0` for an unknown build."""
        build = self.builds.get(number)
        return build.version if build else "0.0.0"


def build_of_image(path: str) -> str:
    """Return the build number in an image's path (`.../FSW_448E-v7.6.6-build6957.out`), or ''."""
    found = _IMAGE_BUILD.findall(path)
    return found[-1] if found else ""
