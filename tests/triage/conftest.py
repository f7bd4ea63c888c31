import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.triage import suite


@pytest.fixture(scope="session")
def real_report(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """Return a function that runs the suite with a real pytest and pytest-html, and gives the report's bytes."""
    directory = tmp_path_factory.mktemp("suite")
    (directory / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (directory / "test_cli.py").write_text(suite.TESTS, encoding="utf-8")
    (directory / "test_broken.py").write_text(suite.BROKEN, encoding="utf-8")
    written: dict[tuple[str, ...], bytes] = {}

    def run(*options: str) -> bytes:
        if options not in written:
            written[options] = _run(directory, options)
        return written[options]

    return run


@pytest.fixture(scope="session")
def line_of() -> Callable[[str], int]:
    """Return a function that gives the number of the suite's only line that holds a text."""

    def find(text: str) -> int:
        (number,) = (number for number, line in enumerate(suite.TESTS.split("\n"), start=1) if text in line)
        return number

    return find


def _run(directory: Path, options: tuple[str, ...]) -> bytes:
    report = directory / "report.html"
    report.unlink(missing_ok=True)
    # Nothing of the run that tests this may reach the run that is tested: plug-ins, options, coverage.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV_"))}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    plugins = ("-p", "pytest_html.plugin", "-p", "pytest_metadata.plugin", "-p", "no:cacheprovider")
    command = (
        sys.executable,
        "-m",
        "pytest",
        *plugins,
        f"--html={report}",
        "--continue-on-collection-errors",
        *options,
    )
    ended = subprocess.run(command, cwd=directory, env=environment, capture_output=True, timeout=60, check=False)
    assert ended.returncode == 1, ended.stdout.decode() + ended.stderr.decode()
    return report.read_bytes()
