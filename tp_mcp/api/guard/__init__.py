"""What may be sent to TP: pure checks, run before anything is sent.

TP pastes test ids, `argument` and `extra_pytest_options` as they are, joined by spaces, into two lines of a bash script
that runs as root on the testbed's controller:

    pytest <ids> <argument> --collect-only
    pytest <ids> <argument> --html=<report> --rack-file <rack> <extra_pytest_options>

The caller is the only guard. So for every value that is accepted here, the argument vector which bash hands to pytest
is the intended one; whatever these modules do not know how to carry is refused, with the reason and the right spelling.

    shell       splits a text as a POSIX shell would; refuses everything a shell would act on
    options     the pytest options that are known, and those that can never be carried
    values      what each kind of option may take
    arguments   `argument` and `extra_pytest_options`: shell, options and values together
    ids         test ids
    restore     the `execute restore image scp ...` line of an upgrade
    images      where its image may come from
    names       testbeds, labs, build numbers, versions, execution ids, report paths
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
