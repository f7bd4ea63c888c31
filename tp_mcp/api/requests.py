"""What starts an upgrade or a run. Made through the guard: `checked` is the way in."""

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
    """Where the image of an upgrade comes from."""

    COMMAND = "command"
    """A complete `execute restore image scp ...` line, as the build job prints it."""
    BUILD = "build"
    """A build of the official build server."""
    GA = "ga"
    """The newest GA build of a version."""


class LockAction(StrEnum):
    """What is done with the mark that says a lab is taken."""

    LOCK = "lock"
    UNLOCK = "unlock"


_NEEDS: Mapping[UpgradeMode, str] = {
    UpgradeMode.COMMAND: "command",
    UpgradeMode.BUILD: "build_number",
    UpgradeMode.GA: "version",
}


@dataclass(frozen=True, slots=True)
class UpgradeRequest:
    """An upgrade of a testbed that passed the guard.

    Attributes:
        testbed: its name.
        mode: which of the three that follow is set; the other two are None.

    """

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
        """Return the request, or say which argument is wrong and what would be right.

        None and the empty string stand for an argument that was not given.

        Raises:
            InvalidArgumentError: a wrong or missing value, or one that does not belong to the mode.
            UnsafeArgumentError: a value that could be taken for something else.

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
                f'mode "{checked_mode}" needs {needed}, which was not given.', remedy=f"Pass {needed} too."
            )
        if surplus := [each for each in present if each != needed]:
            raise InvalidArgumentError(
                f'mode "{checked_mode}" takes {needed} alone; {" and ".join(surplus)} was given too.',
                remedy=f"Leave {' and '.join(surplus)} out, or choose the mode that takes it.",
            )
        return cls(
            testbed=name,
            mode=checked_mode,
            command=guard_restore_command(command) if needed == "command" else None,
            build_number=guard_build_number(build_number) if needed == "build_number" else None,
            version=guard_version(version) if needed == "version" else None,
        )

    def payload(self) -> dict[str, JsonValue]:
        """Return TP's JSON of the request. It may hold a password: it is sent, never shown or stored."""
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
    """A pytest run on a lab that passed the guard.

    Attributes:
        lab: its name, the same as its testbed's.
        testcase: the test ids as they are carried.
        argument: pytest arguments on the dry run and on the real one.
        extra_pytest_options: pytest arguments on the real run only.

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
        """Return the request, or say which argument is wrong and what would be right.

        Args:
            lab: the lab's name.
            testcase: a list of test ids.
            argument: pytest arguments as one text; None stands for none.
            extra_pytest_options: as `argument`.
            extra_allowed_options: long pytest options that an operator allows beyond the known ones.

        Raises:
            InvalidArgumentError: a wrong or missing value.
            UnsafeArgumentError: a value that a shell or pytest could take for something else.

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
        """Whether the run lists tests and runs none."""
        return self.argument.only_collects or self.extra_pytest_options.only_collects

    def payload(self, user: str) -> dict[str, JsonValue]:
        """Return TP's JSON of the request, made for the TP user `user`."""
        fields: dict[str, JsonValue] = {
            "user": user,
            "lab": self.lab,
            "testcase": list(self.testcase),
            "argument": self.argument.carried,
        }
        if self.extra_pytest_options.carried:
            fields["extra_pytest_options"] = self.extra_pytest_options.carried
        return fields
