"""Processes on the controller, from bash's own trace and the notes of the pytest command.

bash traces every simple command, also in substitutions and subshells (`set -x` to a separate file). A trace does not
show redirections of pytest's streams or processes left in the background, so these are detected separately.
"""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
