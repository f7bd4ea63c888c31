"""A suite of 5,000 tests of which 400 fail, for twelve reasons of very different weight, run by a real pytest.

The reason that matters most stands behind three quarters of the failures, and none of its failures comes first: whoever
reads only the beginning of what failed is told of others.
"""

import os
import subprocess
import sys
from pathlib import Path

TESTS = 5_000
FAILURES = 400
FILES = 50
MAIN_CAUSE = "server table not loaded: schema 11, expected 12"
CAUSES = (
    MAIN_CAUSE,
    "vlan 4094 is reserved",
    "no PoE budget on port",
    "certificate has expired",
    "Connection reset by peer",
    "license file is missing",
    "duplicate address detected",
    "mac table is full",
    "trunk member flapped",
    "spanning tree did not converge",
    "sFlow collector unreachable",
    "unexpected prompt",
)
SHARES = (300, 30, 20, 15, 10, 8, 6, 4, 3, 2, 1, 1)
"""How many tests fail for each reason."""

_CONFTEST = """
import pytest

class CommandError(Exception):
    pass

def run(command, cause, number):
    output = f"device 10.15.{number % 250}.{number % 97}: session 0x{number * 7919:08x}\\n" * 12
    print(output)
    if cause is not None:
        raise CommandError(f"{command!r} failed on 10.15.{number % 250}.9 after {number % 60}.{number % 10} s: {cause}")
    return output

@pytest.fixture
def device():
    return run
"""
_TEST = '''
    def test_{what}_{number:04}_keeps_its_configuration(self, device):
        """Test {number}."""
        answer = device("show {what} {number}", {cause!r}, {number})
        assert "session" in answer
'''
_SUBJECTS = ("vlan", "radius", "poe", "lag", "stp", "snmp", "sflow", "dhcp", "acl", "qos")


def write_suite(directory: Path) -> list[str]:
    """Write the suite's files; return the ids of its tests."""
    reasons: list[str | None] = [None] * TESTS
    # Spread over the suite, the rarer ones first in it.
    failing = [cause for cause, share in zip(reversed(CAUSES), reversed(SHARES), strict=True) for _ in range(share)]
    for position, cause in enumerate(failing):
        reasons[position * TESTS // FAILURES] = cause
    ids = []
    (directory / "conftest.py").write_text(_CONFTEST, encoding="utf-8")
    for file in range(FILES):
        what = _SUBJECTS[file % len(_SUBJECTS)]
        path = directory / f"Tests_CLI_{file:02}_{what}" / "configuration" / f"test_{what}_{file:02}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        numbers = range(file * TESTS // FILES, (file + 1) * TESTS // FILES)
        text = "".join(_TEST.format(what=what, number=number, cause=reasons[number]) for number in numbers)
        path.write_text(f"class Test{what.title()}Configuration:{text}", encoding="utf-8")
        prefix = f"{path.relative_to(directory)}::Test{what.title()}Configuration"
        ids += [f"{prefix}::test_{what}_{number:04}_keeps_its_configuration" for number in numbers]
    return ids


def run_suite(directory: Path) -> tuple[bytes, bytes]:
    """Return the report and the log of a real run."""
    report = directory / "report.html"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV_"))}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    plugins = ("-p", "pytest_html.plugin", "-p", "pytest_metadata.plugin", "-p", "no:cacheprovider")
    command = (sys.executable, "-m", "pytest", *plugins, "-v", "--tb=short", f"--html={report}", "--rootdir=.")
    ended = subprocess.run(command, cwd=directory, env=environment, capture_output=True, check=False)
    return report.read_bytes(), ended.stdout
