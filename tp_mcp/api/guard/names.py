"""Checks of names and numbers: testbeds and labs, builds, versions, execution ids, report paths."""

import re
from urllib.parse import unquote

from tp_mcp.api.guard.plain_text import guard_text, shown
from tp_mcp.errors import InvalidArgumentError, UnsafeArgumentError

LONGEST_NAME = 200
"""Limit of a testbed's or lab's name, in characters."""

LONGEST_REPORT_PATH = 1_000
"""Limit of a report's path, in characters."""

LARGEST_EXECUTION_ID = 2**63 - 1

_ACTIVE = re.compile(r"[/\\$`;&|<>\"'*?{}]")
_BUILD_NUMBER = re.compile(r"[0-9]{1,10}")
_VERSION = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}")


def guard_name(name: str, value: object) -> str:
    """Return `value` if it is a valid name of a testbed, which is also its lab's.

    Args:
        name: `testbed` or `lab`, for the error.

    Raises:
        InvalidArgumentError: not a string, empty, too long, or with spaces around it.
        UnsafeArgumentError: it contains a slash, `..`, quotes or shell syntax.
    """
    text = guard_text(name, value, longest=LONGEST_NAME)
    if not text or text != text.strip():
        raise InvalidArgumentError(
            f"{name} is {shown(text)}: it must not be empty or have spaces around it.",
            remedy="list_labs has the names.",
        )
    if _ACTIVE.search(text) or ".." in text or text == "." or text.startswith("-"):
        raise UnsafeArgumentError(
            f"{name} is {shown(text)}: a name contains no slash, '..', leading dash, quotes or shell syntax.",
            remedy="list_labs has the names.",
        )
    return text


def guard_build_number(value: object) -> str:
    """Return `value` if it is a build number: a string of up to ten digits, with significant leading zeros.

    Raises:
        InvalidArgumentError: it is a number instead of a string, or contains other characters.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**10:
        raise InvalidArgumentError(
            f"build_number must be a string; the number {value} was given, which may have lost a leading zero.",
            remedy=f'Pass the build number exactly as the build shows it, in quotes: "{value}" or, with its zero, '
            f'"0{value}".',
        )
    if not isinstance(value, str) or not _BUILD_NUMBER.fullmatch(value):
        raise InvalidArgumentError(
            f"build_number is {shown(value)}; it must be a string of 1 to 10 digits.",
            remedy='Examples: "6957" or "0815".',
        )
    return value


def guard_version(value: object) -> str:
    """Return `value` if it is a version such as `7.6.5`; raise InvalidArgumentError if not."""
    if not isinstance(value, str) or not _VERSION.fullmatch(value):
        raise InvalidArgumentError(
            f"version is {shown(value)}; it must be a string of three numbers joined by dots.",
            remedy='Example: "7.6.5".',
        )
    return value


def guard_execution_id(value: object) -> int:
    """Return `value` if it is a whole number above zero; raise InvalidArgumentError if not."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= LARGEST_EXECUTION_ID:
        raise InvalidArgumentError(
            f"exec_id is {shown(value)}; it must be a whole number above zero.", remedy="Example: 446."
        )
    return value


def guard_report_path(value: object) -> str:
    """Return a report's path relative to TP's base URL, without a leading slash.

    Raises:
        InvalidArgumentError: not a string, or empty because the run has no report yet.
        UnsafeArgumentError: the path leads outside the base URL.
    """
    text = guard_text("report_file_path", value, longest=LONGEST_REPORT_PATH)
    path = text.removeprefix("/")
    if not path:
        raise InvalidArgumentError(
            "report_file_path is empty: this execution has no report.",
            remedy="A report exists after the run has ended.",
        )
    segments = unquote(path).split("/")
    if "\\" in unquote(path) or any(each in ("", ".", "..") for each in segments) or re.match(r"[\w+.-]*:", path):
        raise UnsafeArgumentError(
            f"report_file_path is {shown(text)}: it must be a path below TP's base URL, without '..'.",
            remedy="Pass report_file_path as TP returned it.",
        )
    return path
