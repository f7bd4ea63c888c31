"""Requests for upgrades and runs. `checked` creates them through the guard."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pydantic import JsonValue

from tp_mcp.api.guard import (
    PytestArguments,
    RestoreCommand,
    guard_build_number,
    guard_name,
    guard_pytest_arguments,
    guard_restore_command,
    guard_test_ids,
    guard_version,
)
from tp_mcp.api.guard.plain_text import shown
from tp_mcp.errors import InvalidArgumentError


class UpgradeMode(StrEnum):
    """Source of an upgrade's image."""

    COMMAND = "command"
    """A complete `execute restore image scp ...` line, as printed by the build job."""
    BUILD = "build"
    """A build on the official build server."""
    GA = "ga"
    """The latest GA build of a version."""


class LockAction(StrEnum):
    """Action on a lab's lock."""

    LOCK = "lock"
    UNLOCK = "unlock"


_NEEDS: Mapping[UpgradeMode, str] = {
    UpgradeMode.COMMAND: "command",
    UpgradeMode.BUILD: "build_number",
    UpgradeMode.GA: "version",
}


@dataclass(frozen=True, slots=True)
class UpgradeRequest:
    """A checked request for an upgrade of a testbed; of the last three fields only the one for its mode is set."""

    testbed: str
    mode: UpgradeMode
    command: RestoreCommand | None = None
    build_number: str | None = None
    version: str | None = None

    @classmethod
    def checked(
        cls,
        *,
        testbed: object,
        mode: object,
        command: object = None,
        build_number: object = None,
        version: object = None,
    ) -> "UpgradeRequest":
        """Check the arguments and return the request.

        None and the empty string mean that an argument is missing.

        Raises:
            InvalidArgumentError: a value is wrong or missing, or does not belong to the mode.
            UnsafeArgumentError: a value could be misinterpreted.
        """
        name = guard_name("testbed", testbed)
        if mode not in tuple(UpgradeMode):
            raise InvalidArgumentError(
                f"mode is {shown(mode)}.",
                remedy='Allowed: "command" (with command), "build" (with build_number), "ga" (with version).',
            )
        checked_mode = UpgradeMode(str(mode))
        needed = _NEEDS[checked_mode]
        given = {"command": command, "build_number": build_number, "version": version}
        present = [each for each, value in given.items() if value is not None and value != ""]
        if needed not in present:
            raise InvalidArgumentError(
                f'mode "{checked_mode}" needs {needed}, which is missing.', remedy=f"Pass {needed} too."
            )
        if surplus := [each for each in present if each != needed]:
            raise InvalidArgumentError(
                f'mode "{checked_mode}" only takes {needed}; {" and ".join(surplus)} was given too.',
                remedy=f"Omit {' and '.join(surplus)}, or choose the mode that takes it.",
            )
        return cls(
            testbed=name,
            mode=checked_mode,
            command=guard_restore_command(command) if needed == "command" else None,
            build_number=guard_build_number(build_number) if needed == "build_number" else None,
            version=guard_version(version) if needed == "version" else None,
        )

    def payload(self) -> dict[str, JsonValue]:
        """Return the request as TP's JSON. It may contain a password: send it, never show or store it."""
        fields = {
            "testbed": self.testbed,
            "mode": self.mode.value,
            "command": self.command.line() if self.command else None,
            "build_number": self.build_number,
            "version": self.version,
        }
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True, slots=True)
class PytestRequest:
    """A checked request for a pytest run on a lab.

    Attributes:
        testcase: test ids, quoted for the shell.
        argument: pytest arguments of the dry run and the real run.
        extra_pytest_options: pytest arguments of the real run only.
    """

    lab: str
    testcase: tuple[str, ...]
    argument: PytestArguments
    extra_pytest_options: PytestArguments

    @classmethod
    def checked(
        cls,
        *,
        lab: object,
        testcase: object,
        argument: object = "",
        extra_pytest_options: object = "",
        extra_allowed_options: frozenset[str] = frozenset(),
    ) -> "PytestRequest":
        """Check the arguments and return the request.

        Args:
            extra_allowed_options: long pytest options that an operator allows besides the known ones.

        Raises:
            InvalidArgumentError: a value is wrong or missing.
            UnsafeArgumentError: a shell or pytest could misinterpret a value.
        """
        return cls(
            lab=guard_name("lab", lab),
            testcase=guard_test_ids(testcase),
            argument=guard_pytest_arguments(
                "argument", "" if argument is None else argument, extra_allowed_options=extra_allowed_options
            ),
            extra_pytest_options=guard_pytest_arguments(
                "extra_pytest_options",
                "" if extra_pytest_options is None else extra_pytest_options,
                extra_allowed_options=extra_allowed_options,
            ),
        )

    @property
    def only_collects(self) -> bool:
        """True if the run only lists tests."""
        return self.argument.only_collects or self.extra_pytest_options.only_collects

    def payload(self, user: str) -> dict[str, JsonValue]:
        """Return the request as TP's JSON, for a TP user."""
        fields: dict[str, JsonValue] = {
            "user": user,
            "lab": self.lab,
            "testcase": list(self.testcase),
            "argument": self.argument.carried,
        }
        if self.extra_pytest_options.carried:
            fields["extra_pytest_options"] = self.extra_pytest_options.carried
        return fields
