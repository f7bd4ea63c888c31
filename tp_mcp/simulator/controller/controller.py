"""The simulated controller: writes TP's script and runs it with a real bash, as a process group of its own.

Every run has a directory in the scratch directory: the script, its log, the rack file, bash's trace, the notes of the
pytest command. The environment of a run contains no secret and no setting of a surrounding pytest. Needs bash 4.1 or
newer (for a trace in a file of its own).
"""

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from tp_mcp.simulator.executions.execution import Execution
from tp_mcp.simulator.executions.snapshot import DONE, FAILED, LOG_TAIL_BYTES, Counts, Snapshot

TRACE_MARK = "\x1e"

PYTEST = "pytest"
COMMAND = "command"
REDIRECTION = "redirection"
LEFT_BEHIND = "left-behind"


@dataclass(frozen=True, slots=True)
class SeenProcess:
    """A process of an execution.

    Attributes:
        kind: `pytest` (a call of the pytest command, `argv` exactly as it was received, without the command's name),
            `command` (any other simple command that bash ran, as it traced it), `redirection` (`argv` are the
            streams of pytest that did not go to the log), `left-behind` (a process was still there when the script
            ended).
        argv: the words.
    """

    exec_id: int
    kind: str
    argv: tuple[str, ...]


def read_processes(exec_id: int, trace: Path, calls: Path) -> Iterator[SeenProcess]:
    """Yield the processes in bash's trace and in the notes of the pytest command; none if a file is missing."""
    for line in calls.read_text("utf-8").splitlines() if calls.exists() else ():
        call = json.loads(line)
        yield SeenProcess(exec_id, PYTEST, tuple(call["argv"]))
        if call["redirected"]:
            yield SeenProcess(exec_id, REDIRECTION, tuple(call["redirected"]))
    commands = trace.read_text("utf-8", errors="replace").split(TRACE_MARK) if trace.exists() else ()
    for command in commands:
        words = _words(command)
        if words and words[0] != "pytest":
            yield SeenProcess(exec_id, COMMAND, words)


def _words(command: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(command))
    except ValueError:
        return tuple(command.split())


COLLECT_LIMIT_SECONDS = 60.0
SUMMARY_TAIL_BYTES = 8192

_SIMULATOR = Path(__file__).parents[1]
_UNQUOTED = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
_SUMMARY = re.compile(r"^(?:=+ )?(\d+ [a-z]+[^=\n]*|no tests ran|no tests collected[^=\n]*) in \d+\.\d+s", re.MULTILINE)
_PART = re.compile(r"(\d+) (passed|failed|skipped|errors?|xfailed|xpassed)\b")
_PYTEST_ENDED = frozenset({0, 1, 5})
_PYTEST_INTERRUPTED = 2


@dataclass(slots=True)
class Run:
    """A running or ended script."""

    exec_id: int
    directory: Path
    process: asyncio.subprocess.Process
    left_behind: bool = False

    async def wait(self) -> int:
        """Return the script's exit status once all its processes ended."""
        status = await self.process.wait()
        self.left_behind = self._signal(signal.SIGKILL) or self.left_behind
        return status

    async def stop(self) -> None:
        """Kill the whole process group."""
        if self.process.returncode is None:
            self._signal(signal.SIGKILL)
            await self.process.wait()

    def _signal(self, number: signal.Signals) -> bool:
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True


class Controller:
    """Runs executions in a scratch directory."""

    def __init__(self, workdir: Path) -> None:
        if not _UNQUOTED.fullmatch(str(workdir)):
            raise ValueError(f"the scratch directory must need no quoting in a shell: {workdir}")
        self._workdir = workdir
        self.tests_root = workdir / "tests"
        self.server_root = workdir / "server"
        self._runs: dict[int, Run] = {}

    @property
    def processes(self) -> list[SeenProcess]:
        """Everything that ran so far, the oldest execution first."""
        seen: list[SeenProcess] = []
        for exec_id, run in sorted(self._runs.items()):
            seen += read_processes(exec_id, run.directory / "trace", run.directory / "calls")
            if run.left_behind:
                seen.append(SeenProcess(exec_id, LEFT_BEHIND, ()))
        return seen

    def process_of(self, exec_id: int) -> Run | None:
        """Return the run of an execution, once it was started."""
        return self._runs.get(exec_id)

    async def start(self, execution: Execution, rack: dict[str, Any]) -> Run:
        """Write the script and start it."""
        self._install()
        directory = self._workdir / "runs" / str(execution.exec_id)
        directory.mkdir(parents=True)
        report = self.server_root / execution.report_file_path
        report.parent.mkdir(parents=True, exist_ok=True)
        rack_file = directory / "rack.json"
        rack_file.write_text(json.dumps(rack, indent=2), "utf-8")
        lines = script_lines(
            execution.testcase,
            execution.argument,
            execution.extra_pytest_options,
            tests_root=self.tests_root,
            report=report,
            rack_file=rack_file,
        )
        script = directory / f"pytest_{execution.exec_id}.sh"
        script.write_text("\n".join(["#!/bin/bash", *lines, ""]), "utf-8", errors="surrogatepass")
        starting = asyncio.ensure_future(self._spawn(["bash", str(script)], directory))
        try:
            process = await asyncio.shield(starting)
        except asyncio.CancelledError:
            await Run(execution.exec_id, directory, await starting).stop()
            raise
        run = Run(execution.exec_id, directory, process)
        self._runs[execution.exec_id] = run
        return run

    def snapshot(self, run: Run) -> Snapshot:
        """Return a run's log and counts."""
        size, tail = _tail(run.directory / "log", LOG_TAIL_BYTES)
        so_far = run.directory / "counts"
        counts = Counts(**json.loads(so_far.read_text("utf-8"))) if so_far.exists() else None
        return Snapshot(counts, size, tail)

    def result(self, run: Run, exit_status: int) -> tuple[str, Snapshot]:
        """Return the last status and snapshot of an ended run; the counts are those of pytest's summary line."""
        snapshot = self.snapshot(run)
        _, tail = _tail(run.directory / "log", SUMMARY_TAIL_BYTES)
        counts = parse_summary(tail)
        ended = exit_status in _PYTEST_ENDED or (exit_status == _PYTEST_INTERRUPTED and counts is not None)
        counts = counts or snapshot.counts or Counts()
        return DONE if ended else FAILED, Snapshot(counts, snapshot.log_size, snapshot.log_tail)

    async def collect(self) -> list[str]:
        """Return all tests' ids, from a real `pytest --collect-only`. Raises RuntimeError if that fails."""
        self._install()
        directory = self._workdir / "mirror"
        directory.mkdir(exist_ok=True)
        (directory / "log").unlink(missing_ok=True)
        process = await self._spawn([str(self._workdir / "bin" / "pytest"), "--collect-only", "-q"], directory)
        run = Run(0, directory, process)
        try:
            async with asyncio.timeout(COLLECT_LIMIT_SECONDS):
                status = await run.wait()
        finally:
            await run.stop()
        log = (directory / "log").read_text("utf-8")
        if status != 0:
            raise RuntimeError(f"the tests cannot be collected:\n{log}")
        return [line for line in log.splitlines() if "::" in line]

    async def forget(self) -> None:
        """Kill all running scripts, and remove all runs and reports."""
        for run in self._runs.values():
            await run.stop()
        self._runs.clear()
        for left in (self._workdir / "runs", self.server_root):
            shutil.rmtree(left, ignore_errors=True)

    async def _spawn(self, command: list[str], directory: Path) -> asyncio.subprocess.Process:
        with (directory / "log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.tests_root,
                env=self._environment(directory),
                start_new_session=True,
            )

    def _environment(self, directory: Path) -> dict[str, str]:
        return {
            "PATH": f"{self._workdir / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(directory),
            "LANG": "C.UTF-8",
            "PYTHONIOENCODING": "utf-8",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "BASH_ENV": str(self._workdir / "bin" / "trace.sh"),
            "TP_TRACE": str(directory / "trace"),
            "TP_TESTS_ROOT": str(self.tests_root),
            "TP_CALLS": str(directory / "calls"),
            "TP_COUNTS": str(directory / "counts"),
            "TP_LOG": str(directory / "log"),
        }

    def _install(self) -> None:
        if self.tests_root.exists():
            return
        shutil.copytree(_SIMULATOR / "suite", self.tests_root, ignore=shutil.ignore_patterns("__pycache__"))
        commands = self._workdir / "bin"
        commands.mkdir()
        shutil.copy(Path(__file__).with_name("pytest_command.py"), commands / "pytest_command.py")
        pytest = commands / "pytest"
        pytest.write_text(f"#!/bin/sh\nexec '{sys.executable}' -I -u '{commands}/pytest_command.py' \"$@\"\n", "utf-8")
        pytest.chmod(0o755)
        # PS4 from the environment would be ignored for root, hence a file that bash reads before the script.
        (commands / "trace.sh").write_text(
            f"exec 9>>\"$TP_TRACE\"\nBASH_XTRACEFD=9\nPS4=$'\\x{ord(TRACE_MARK):02x}'\nset -x\n", "utf-8"
        )


def parse_summary(log: str) -> Counts | None:
    """Return the counts of the last summary line in pytest's output; None if there is none."""
    lines = _SUMMARY.findall(log)
    if not lines:
        return None
    numbers = {name.removesuffix("s") if name == "errors" else name: int(n) for n, name in _PART.findall(lines[-1])}
    return Counts(
        passed=numbers.get("passed", 0),
        failed=numbers.get("failed", 0),
        skipped=numbers.get("skipped", 0),
        errors=numbers.get("error", 0),
        total=sum(numbers.values()),
    )


def _tail(path: Path, limit: int) -> tuple[int, str]:
    if not path.exists():
        return 0, ""
    with path.open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        log.seek(max(0, size - limit))
        return size, log.read(limit).decode("utf-8", errors="replace")


def script_lines(
    testcase: Sequence[str],
    argument: str,
    extra_pytest_options: str,
    *,
    tests_root: str | PurePath,
    report: str | PurePath,
    rack_file: str | PurePath,
) -> tuple[str, str]:
    """Return the two lines of TP's script for its controller: the dry run and the real one.

    Nothing is quoted, because TP quotes nothing: a shell acts on its syntax in the values.
    """
    ids = [f"{tests_root}/{one.removeprefix('/')}" for one in testcase]
    dry = ["pytest", *ids, argument, "--collect-only"]
    real = ["pytest", *ids, argument, f"--html={report}", "--rack-file", str(rack_file), extra_pytest_options]
    return " ".join(part for part in dry if part), " ".join(part for part in real if part)


PREFIX = "tp-simulator-"


def new_scratch_directory(parent: Path | None = None) -> Path:
    """Make a scratch directory named after this process, and remove those that killed processes left."""
    where = Path(tempfile.gettempdir()) if parent is None else parent
    for left in where.glob(f"{PREFIX}*"):
        match = re.fullmatch(rf"{PREFIX}(\d+)-\w+", left.name)
        if match is not None and not _is_alive(int(match[1])):
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=where))


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except OSError:
        # It is somebody else's, and so are its files.
        return True
    return True
