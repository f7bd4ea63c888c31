"""The official conformance suite as a program: which scenarios it has, and what came of running them."""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PROGRAM = HERE / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
RUN_SECONDS = 80.0
LIST_SECONDS = 20.0

_LISTED = re.compile(r"^ +- ([\w/-]+)", re.MULTILINE)
_OUTCOME = re.compile(r"^[✓✗] ([\w/-]+): (\d+) passed, (\d+) failed", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """What came of a scenario."""

    passed: int
    failed: int

    @property
    def ok(self) -> bool:
        return self.failed == 0


def required(node: str, revision: str) -> list[str]:
    """Return the server scenarios that a revision of the protocol requires, frozen at its release."""
    listed = _said(node, "list", "--server", "--requirements", revision, seconds=LIST_SECONDS)
    servers, marker, _ = listed.partition("\nClient scenarios")
    found = _LISTED.findall(servers)
    if not marker or not found:
        raise RuntimeError(f"the suite's list for {revision} cannot be read:\n{listed}")
    return found


def of_extension(node: str, prefix: str) -> list[str]:
    """Return the scenarios of an extension."""
    listed = _said(node, "list", "--server", seconds=LIST_SECONDS)
    found = [name for name in _LISTED.findall(listed) if name.startswith(prefix)]
    if not found:
        raise RuntimeError(f"the suite lists no scenario {prefix}*:\n{listed}")
    return found


def run(node: str, url: str, revision: str, results: Path) -> Mapping[str, Outcome]:
    """Run everything that the suite has for a revision against a server; return what came of each scenario."""
    said = _said(
        node, "server", "--url", url, "--requirements", revision, "--output-dir", str(results), seconds=RUN_SECONDS
    )
    found = {name: Outcome(int(passed), int(failed)) for name, passed, failed in _OUTCOME.findall(said)}
    if not found:
        raise RuntimeError(f"the suite said nothing of {url} at {revision}:\n{said}")
    return found


def _said(node: str, *arguments: str, seconds: float) -> str:
    # It exits with a failure where one scenario fails, scored or not; what counts here is which.
    done = subprocess.run(
        [node, str(PROGRAM), *arguments], capture_output=True, text=True, timeout=seconds, check=False
    )
    return done.stdout + done.stderr
