"""A real bash that records what it would run, and the numbers a promise's suite tells at the end."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter

BASH_SECONDS = 30
BAITS = ("a", "b", "x.py", "test_a.py", "a b", "[a]", "ab", "-k", "~", "a.py::t[x]", "Tests_CLI/test_cli.py")
TOLD = "told at the end"

PRELUDE = """\
exec 3>"$ARGV_FILE" 4>"$TRACE_FILE"
BASH_XTRACEFD=4
PS4='T:'
pytest() { printf '%s\\0' "$#" "$@" >&3; }
set -x
"""


@dataclass
class Seen:
    """What one bash did: each argument vector that `pytest` got, the commands that ran besides, the files made."""

    argvs: list[tuple[str, ...]] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    files: set[str] = field(default_factory=set)
    complaints: str = ""


class Bash:
    """Runs script lines in a directory of files whose names patterns would match; nothing but builtins can be found."""

    def __init__(self, directory: Path) -> None:
        self.program = shutil.which("bash") or pytest.fail("this suite needs a bash")
        self._records = directory / "records"
        self._scratch = directory / "scratch"
        self._records.mkdir()
        for bait in BAITS:
            path = self._scratch / bait
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        self._before = self._files()

    @property
    def version(self) -> str:
        shown = subprocess.run(
            [self.program, "--version"], capture_output=True, text=True, timeout=BASH_SECONDS, check=True
        )
        return shown.stdout.splitlines()[0]

    def run(self, lines: Sequence[str], *, locale: str = "C.UTF-8") -> Seen:
        script, argv, trace = (self._records / name for name in ("script", "argv", "trace"))
        script.write_bytes((PRELUDE + "\n".join(lines) + "\n").encode())
        environment = {
            "ARGV_FILE": str(argv),
            "TRACE_FILE": str(trace),
            "PATH": "/nonexistent",
            "HOME": "/home/expanded",
            "IFS_PROBE": "expanded",
            "LC_ALL": locale,
        }
        ended = subprocess.run(
            [self.program, str(script)],
            cwd=self._scratch,
            env=environment,
            capture_output=True,
            timeout=BASH_SECONDS,
            check=False,
        )
        return Seen(
            argvs=list(_vectors(argv.read_bytes())),
            others=[line for line in os.fsdecode(trace.read_bytes()).splitlines() if not _expected(line)],
            files=self._files() - self._before,
            complaints=os.fsdecode(ended.stderr),
        )

    def _files(self) -> set[str]:
        return {str(path.relative_to(self._scratch)) for path in self._scratch.rglob("*")}


def _expected(line: str) -> bool:
    return line == "T:pytest" or line.startswith(("T:pytest ", "T:printf '%s\\0' "))


def _vectors(record: bytes) -> Iterator[tuple[str, ...]]:
    fields = iter(record.decode().split("\0")[:-1])
    for count in fields:
        yield tuple(next(fields) for _ in range(int(count)))


@pytest.fixture
def bash(tmp_path: Path) -> Bash:
    return Bash(tmp_path)


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    told = [
        value
        for report in terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", [])
        for name, value in report.user_properties
        if name == TOLD
    ]
    if told:
        terminalreporter.section("promises")
        for line in told:
            terminalreporter.line(str(line))
