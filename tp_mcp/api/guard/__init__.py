"""Pure checks of everything that is sent to TP, before it is sent.

TP pastes test ids, `argument` and `extra_pytest_options` unchanged, joined by spaces, into two lines of a bash script
that runs as root on the testbed's controller:

    pytest <ids> <argument> --collect-only
    pytest <ids> <argument> --html=<report> --rack-file <rack> <extra_pytest_options>

Only the caller can guard these lines. So for every accepted value, bash hands the intended argument vector to pytest;
a value that these modules cannot carry safely is refused, with the reason and the correct spelling.

    shell             splits a text like a POSIX shell; refuses everything that a shell would act on
    pytest_options    known pytest options, and options that are never carried
    pytest_arguments  `argument` and `extra_pytest_options`: words, options and their values
    test_ids          test ids
    restore_command   the `execute restore image scp ...` line of an upgrade, and the source of its image
    names             testbeds, labs, build numbers, versions, execution ids, report paths
    plain_text        printable text, which all other checks start with
"""

from tp_mcp.api.guard.names import guard_build_number, guard_execution_id, guard_name, guard_report_path, guard_version
from tp_mcp.api.guard.pytest_arguments import PytestArguments, guard_pytest_arguments
from tp_mcp.api.guard.restore_command import RestoreCommand, guard_image, guard_restore_command
from tp_mcp.api.guard.test_ids import guard_test_ids, intended_ids

__all__ = [
    "PytestArguments",
    "RestoreCommand",
    "guard_build_number",
    "guard_execution_id",
    "guard_image",
    "guard_name",
    "guard_pytest_arguments",
    "guard_report_path",
    "guard_restore_command",
    "guard_test_ids",
    "guard_version",
    "intended_ids",
]
