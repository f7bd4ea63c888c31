"""The script that TP writes for its controller: two lines, into which the caller's values are pasted as they are."""

from collections.abc import Sequence
from pathlib import PurePath


def expand(testcase: str, tests_root: str | PurePath) -> str:
    """Return a pytest id under the tests root; a leading slash is optional. Quotes stay where they are."""
    return f"{tests_root}/{testcase.removeprefix('/')}"


def script_lines(
    testcase: Sequence[str],
    argument: str,
    extra_pytest_options: str,
    *,
    tests_root: str | PurePath,
    report: str | PurePath,
    rack_file: str | PurePath,
) -> tuple[str, str]:
    """Return the two lines: the dry run and the real one.

    Nothing is quoted, because TP quotes nothing: what a shell acts on in the values, a shell acts on.
    """
    ids = [expand(one, tests_root) for one in testcase]
    dry = ["pytest", *ids, argument, "--collect-only"]
    real = ["pytest", *ids, argument, f"--html={report}", "--rack-file", str(rack_file), extra_pytest_options]
    return " ".join(part for part in dry if part), " ".join(part for part in real if part)
