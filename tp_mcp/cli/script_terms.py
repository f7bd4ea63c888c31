"""Exit codes and formats of the commands for scripts. The help needs nothing else."""

from enum import StrEnum

PASSED = 0
FAILED = 1
UNKNOWN = 2
"""Neither passed nor failed: not started, lost, cancelled, timed out, no test ran, or TP is unreachable."""

MEANING = "Exit codes: 0 passed, 1 failed, 2 unknown (not started, lost, cancelled, timed out, no test ran, ...)."


class ReportFormat(StrEnum):
    """Output format of `tp-mcp report`."""

    TABLE = "table"
    JSON = "json"
    JUNIT = "junit"
