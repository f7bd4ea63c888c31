"""Exit codes and formats of the commands for scripts. The help needs nothing else."""

from enum import StrEnum

PASSED = 0
FAILED = 1
UNKNOWN = 2
"""Neither is known: it was not started, is lost or cancelled, ran out of time, ran no test, or TP is away."""

MEANING = "Exit codes: 0 passed, 1 failed, 2 could not say (not started, lost, cancelled, timed out, no test ran, ...)."


class ReportFormat(StrEnum):
    """How `tp-mcp report` writes the tests."""

    TABLE = "table"
    JSON = "json"
    JUNIT = "junit"
