"""`make conformance`: the official suite against the product with fixtures, and against the product as it is.

Prints a table, and exits with 1 where a scenario failed that has to pass: what the suite itself lists as required for a
revision of the protocol, and every scenario of the Tasks extension; for the product as it is, what needs no fixtures.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.conformance import suite
from tests.conformance.suite import Outcome

REVISIONS = ("2025-11-25", "2026-07-28")
TASKS_REVISION = "2026-07-28"
TASKS_PREFIX = "tasks-"
TABLE_COLUMNS = 150
START_SECONDS = 30.0
STOP_SECONDS = 5.0

WITHOUT_FIXTURES = {
    "2025-11-25": frozenset(
        {
            "dns-rebinding-protection",
            "logging-set-level",
            "ping",
            "prompts-list",
            "resources-list",
            "server-initialize",
            "server-session-lifecycle",
            "server-sse-multiple-streams",
            "tools-list",
        }
    ),
    "2026-07-28": frozenset(
        {
            "caching",
            "dns-rebinding-protection",
            "http-header-validation",
            "input-required-result-unsupported-methods",
            "prompts-list",
            "resources-list",
            "sep-2164-resource-not-found",
            "server-sse-multiple-streams",
            "tools-list",
        }
    ),
}
"""Scenarios that call no tool, resource or prompt by name, and so hold for any server."""


@dataclass(frozen=True)
class Run:
    """One server at one revision, and the scenarios that have to pass there."""

    server: str
    revision: str
    expected: frozenset[str]
    outcomes: Mapping[str, Outcome]

    @property
    def missing(self) -> list[str]:
        return sorted(self.expected - self.outcomes.keys())

    @property
    def failed(self) -> list[str]:
        return sorted(name for name in self.expected & self.outcomes.keys() if not self.outcomes[name].ok)


def main() -> int:
    """Run all, print, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__.partition("\n")[0])
    parser.add_argument("--results", type=Path, help="where to leave the suite's own results")
    results: Path | None = parser.parse_args().results
    node = shutil.which("node", path=str(Path(sys.executable).parent)) or shutil.which("node")
    if node is None or not suite.PROGRAM.is_file():
        sys.exit("The suite is not installed; `make conformance` installs it.")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="conformance-") as scratch, ExitStack() as servers:
        where = results or Path(scratch) / "results"
        fixtures = servers.enter_context(_served(Path(scratch) / "fixtures", "tests.conformance.server"))
        product = servers.enter_context(
            _served(Path(scratch) / "product", "tp_mcp", "serve", "--http", "--no-auth", "--simulator", "--port")
        )
        with ThreadPoolExecutor() as pool:
            asked = [
                (name, revision, pool.submit(suite.run, node, url, revision, where / name))
                for revision in REVISIONS
                for name, url in (("with fixtures", fixtures), ("tp-mcp serve", product))
            ]
            expected = {revision: frozenset(suite.required(node, revision)) for revision in REVISIONS}
            tasks = frozenset(suite.of_extension(node, TASKS_PREFIX))
            runs = [
                Run(name, revision, _expected(name, revision, expected[revision], tasks), asking.result())
                for name, revision, asking in asked
            ]
        console = Console(width=TABLE_COLUMNS, highlight=False)
        console.print(_table(runs))
        for line in _failures(runs, where):
            console.print(line, markup=False, soft_wrap=True)
    wrong = sum(len(run.failed) + len(run.missing) for run in runs)
    count = sum(len(run.expected) for run in runs)
    console.print(f"{count - wrong} of {count} scenarios passed, in {time.monotonic() - began:.0f} s")
    return 1 if wrong else 0


def _expected(name: str, revision: str, required: frozenset[str], tasks: frozenset[str]) -> frozenset[str]:
    if name == "tp-mcp serve":
        return WITHOUT_FIXTURES[revision]
    return required | (tasks if revision == TASKS_REVISION else frozenset())


def _table(runs: list[Run]) -> Table:
    table = Table("scenario", *(f"{run.server}\n{run.revision}" for run in runs))
    for name in sorted({name for run in runs for name in run.outcomes.keys() | run.expected}):
        cells = [_cell(run, name) for run in runs]
        if any(cells):
            table.add_row(name, *cells)
    return table


def _cell(run: Run, name: str) -> str:
    outcome = run.outcomes.get(name)
    if name in run.expected:
        if outcome is None:
            return "[red]MISSING[/red]"
        if not outcome.ok:
            return f"[red]FAIL[/red] {outcome.failed} of {outcome.passed + outcome.failed}"
        return f"pass {outcome.passed}" if outcome.passed else "skipped by the suite"
    if outcome is None or run.server != "with fixtures":
        # Whatever needs fixtures fails where there are none.
        return ""
    return "not required: " + ("pass" if outcome.ok else "fail")


def _failures(runs: list[Run], where: Path) -> Iterator[str]:
    """Yield what the suite says of each failure."""
    for run in runs:
        place = f"{run.server}, {run.revision}"
        yield from (f"{place}, {name}: the suite did not run it" for name in run.missing)
        for name in run.failed:
            for checks in sorted((where / run.server).glob(f"server-{name}-2*/checks.json")):
                for check in json.loads(checks.read_text(encoding="utf-8")):
                    if check["status"] == "FAILURE":
                        yield f"{place}, {name}: {check['id']}: {check.get('errorMessage')}"


@contextmanager
def _served(directory: Path, module: str, *arguments: str) -> Iterator[str]:
    """Run a server on a free port, with a state of its own; give its address once it is ready."""
    directory.mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TP_MCP_")}
    environment |= {"TP_MCP_STATE_DIR": str(directory), "TP_MCP_CONFIG_FILE": os.devnull}
    log = directory / "log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments, str(port)], env=environment, stdout=said, stderr=said
        )
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}/readyz", process, log)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1.0) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"a server did not become ready:\n{log.read_text(errors='replace')}")


if __name__ == "__main__":
    sys.exit(main())
