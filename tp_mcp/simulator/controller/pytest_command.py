"""The `pytest` command of the simulated controller.

Notes the arguments it was given, then is a real pytest with pytest-html over the tests root. Counts go to a file while
the tests run. The directory it works in, and where it notes things, come from its environment:

    TP_TESTS_ROOT   the tests root, with the `pytest.ini`
    TP_CALLS        file to which one JSON line per call is appended
    TP_COUNTS       file that holds the counts as JSON
    TP_LOG          the log that the standard streams are expected to go to
"""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


class CountsPlugin:
    """Writes the planned number of tests and the outcomes so far, after every test."""

    def __init__(self, path: str) -> None:
        """Write to the file at `path`."""
        self._path = Path(path)
        self._counts = {"passed": 0, "failed": 0, "skipped": 0, "errors": 0, "total": 0}

    def pytest_collection_finish(self, session: "pytest.Session") -> None:
        """Note the planned number."""
        if not session.config.option.collectonly:
            self._counts["total"] = len(session.items)
            self._write()

    def pytest_runtest_logreport(self, report: "pytest.TestReport") -> None:
        """Count an outcome."""
        if report.when == "call" and not hasattr(report, "wasxfail"):
            self._counts[report.outcome] += 1
        elif report.when != "call" and report.failed:
            self._counts["errors"] += 1
        elif report.when == "setup" and report.skipped and not hasattr(report, "wasxfail"):
            self._counts["skipped"] += 1
        if report.when == "teardown":
            self._write()

    def _write(self) -> None:
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(self._counts), "utf-8")
        partial.replace(self._path)


def _redirected() -> list[str]:
    log = Path(os.environ["TP_LOG"]).stat()
    null = Path(os.devnull).stat()
    streams = []
    for number, name, expected in ((0, "stdin", null), (1, "stdout", log), (2, "stderr", log)):
        try:
            found = os.fstat(number)
        except OSError:
            streams.append(name)
            continue
        if (found.st_dev, found.st_ino) != (expected.st_dev, expected.st_ino):
            streams.append(name)
    return streams


def main(arguments: list[str]) -> int:
    """Note the call and run pytest; return its exit status."""
    note = json.dumps({"argv": arguments, "redirected": _redirected()})
    with Path(os.environ["TP_CALLS"]).open("a", encoding="utf-8") as calls:
        calls.write(note + "\n")
    import pytest  # noqa: PLC0415 - the call is noted even if pytest cannot be loaded

    root = os.environ["TP_TESTS_ROOT"]
    ours = ["-c", f"{root}/pytest.ini", f"--rootdir={root}", "-p", "pytest_metadata.plugin", "-p", "pytest_html.plugin"]
    return pytest.main([*ours, *arguments], plugins=[CountsPlugin(os.environ["TP_COUNTS"])])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
