"""The table of TP's endpoints: name, path, limits, and whether a call reads or writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from string import Formatter
from types import MappingProxyType
from urllib.parse import quote

from tp_mcp.api.guard import guard_report_path

KILOBYTE = 1_000
MEGABYTE = 1_000 * KILOBYTE

LARGEST_ANSWER_BYTES = 1 * MEGABYTE
"""Default limit of an answer's body, in bytes."""

LARGEST_LIST_BYTES = 8 * MEGABYTE
"""Limit of a list of labs or executions, in bytes."""

LARGEST_TREE_BYTES = 32 * MEGABYTE
"""Limit of the test tree, in bytes: it has hundreds of kilobytes in practice."""


class Kind(Enum):
    """Effect of a call."""

    READ = "read"
    """Changes nothing, whatever its HTTP method, and may be repeated."""
    WRITE = "write"
    """Starts, changes or ends something, and is sent at most once."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One call of the TP Automation API.

    Attributes:
        path: path below the base URL; `{name}` stands for a percent-encoded argument.
        kind: effect; a POST that only reads is a read.
        timeout_seconds: time limit of one exchange, from the first byte sent to the last one received, in seconds.
    """

    name: str
    method: str
    path: str
    kind: Kind
    timeout_seconds: float = 30.0
    max_bytes: int = LARGEST_ANSWER_BYTES
    answer_may_be_empty: bool = False

    @property
    def reads(self) -> bool:
        """True if the call changes nothing."""
        return self.kind is Kind.READ

    @property
    def path_arguments(self) -> tuple[str, ...]:
        """Names of the arguments in the path."""
        return tuple(name for _, name, _, _ in Formatter().parse(self.path) if name)


MINT_TOKEN = Endpoint("mint_token", "POST", "/token-auth/", Kind.READ, timeout_seconds=15.0)
START_UPGRADE = Endpoint("start_upgrade", "POST", "/adc/automation/upgrade/", Kind.WRITE)
GET_UPGRADE = Endpoint("get_upgrade", "GET", "/adc/automation/upgrade/{testbed}/", Kind.READ)
START_PYTEST = Endpoint("start_pytest", "POST", "/adc/automation/pytest/", Kind.WRITE)
GET_EXECUTION = Endpoint("get_execution", "GET", "/adc/automation/pytest/{exec_id}/", Kind.READ)
# TP first pulls its mirror of the tests, which is slow: never request it in a loop.
LIST_TESTCASES = Endpoint(
    "list_testcases", "GET", "/adc/get_testcases", Kind.READ, timeout_seconds=120.0, max_bytes=LARGEST_TREE_BYTES
)
LIST_LABS = Endpoint("list_labs", "POST", "/adc/get_automation_lab", Kind.READ, max_bytes=LARGEST_LIST_BYTES)
LIST_EXECUTIONS = Endpoint("list_executions", "POST", "/adc/get_test_result", Kind.READ, max_bytes=LARGEST_LIST_BYTES)
CANCEL_EXECUTION = Endpoint("cancel_execution", "POST", "/adc/test_exec_kill", Kind.WRITE, answer_may_be_empty=True)
LIST_VERSIONS = Endpoint(
    # The misspelling is TP's.
    "list_versions",
    "GET",
    "/adc/automation-verion/",
    Kind.READ,
    max_bytes=LARGEST_LIST_BYTES,
)
LOCK_LAB = Endpoint("lock_lab", "POST", "/adc/automation_lock", Kind.WRITE, answer_may_be_empty=True)
GET_REPORT = Endpoint("get_report", "GET", "/{report_file_path}", Kind.READ, timeout_seconds=300.0)

ENDPOINTS: Mapping[str, Endpoint] = MappingProxyType(
    {
        endpoint.name: endpoint
        for endpoint in (
            MINT_TOKEN,
            START_UPGRADE,
            GET_UPGRADE,
            START_PYTEST,
            GET_EXECUTION,
            LIST_TESTCASES,
            LIST_LABS,
            LIST_EXECUTIONS,
            CANCEL_EXECUTION,
            LIST_VERSIONS,
            LOCK_LAB,
            GET_REPORT,
        )
    }
)
"""All endpoints, by name."""


def report_path(report_file_path: str) -> str:
    """Return a report's path below the base URL, percent-encoded; raise InputError if empty or outside of TP."""
    return GET_REPORT.path.format(report_file_path=quote(guard_report_path(report_file_path), safe="/:"))


def report_url(base_url: str, report_file_path: str) -> str:
    """Return the URL of a report, for people who are logged in to TP; raise the errors of `report_path`."""
    return base_url + report_path(report_file_path)
