"""Where a run's report is."""

from urllib.parse import quote

from tp_mcp.api.endpoints import GET_REPORT
from tp_mcp.api.guard import guard_report_path


def report_path(report_file_path: str) -> str:
    """Return a report's path below the base URL, percent-encoded, with a leading slash.

    Raises:
        InputError: the path is empty, or leads elsewhere.

    """
    return GET_REPORT.path.format(report_file_path=quote(guard_report_path(report_file_path), safe="/:"))


def report_url(base_url: str, report_file_path: str) -> str:
    """Return the address of a report for people, who have to be logged in to TP to open it.

    Raises:
        InputError: the path is empty, or leads elsewhere.

    """
    return base_url + report_path(report_file_path)
