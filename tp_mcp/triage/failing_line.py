"""The failing line of a test, with its location, from pytest's traceback.

    long    E       AssertionError: assert 'timeout' == 'ok'        short    test_x.py:41: in test_radius
            ...                                                                  assert run() == 'ok'
            test_x.py:41: AssertionError                                     E   AssertionError: assert ...

Native tracebacks and exception groups are supported; `--tb=line` and `--tb=no` give a message without a location.
Captured output is never mistaken for a traceback.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tp_mcp.triage.report_parser import ReportedTest

LINE_MAX_CHARACTERS = 300
"""Limit of a message and of a location."""

LOOKED_AT_MAX_CHARACTERS = 100_000
"""Length of the end of a traceback that is parsed; the deepest frame comes last."""

_SECTION = re.compile(r"^-{3,} .+ -{3,}$", re.MULTILINE)
TERMINAL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_MESSAGE = re.compile(r"E(?: {3}\s*(\S.*)?)?")
_LOCATION = re.compile(r"(\S.*?:\d+)(: \w[\w.]*)?")
_FRAME = re.compile(r"(\S.*?:\d+): in \S.*")
_NATIVE_FRAME = re.compile(r'(?: {2}\| )? {2}File "(.+)", line (\d+)(?:, in .*)?')
_GROUP_PREFIX = "  | "


@dataclass(frozen=True, slots=True)
class FailingLine:
    """The line that made a test fail.

    Attributes:
        message: first line of the deepest error, such as "AssertionError: assert 1 == 2", and the next line if it ends
            with a colon. Data from outside.
        location: `path:line: Exception` or `path:line`; empty if the traceback has none.
    """

    message: str
    location: str


def failing_line(test: ReportedTest) -> FailingLine | None:
    """Return the failing line of a test; None if it did not fail or has no traceback."""
    if test.outcome not in {"failed", "error", "rerun"}:
        return None
    lines, _ = split_log(test.log)
    return _from_pytest(lines) or _from_python(lines) or _from_text(lines)


def split_log(log: str) -> tuple[list[str], str]:
    """Return the lines of a log's traceback, without colours, and the output captured below it, as it came."""
    section = _SECTION.search(log)
    end = section.start() if section else len(log)
    lines = log[:end][-LOOKED_AT_MAX_CHARACTERS:].split("\n")
    return [TERMINAL.sub("", line).rstrip() for line in lines], log[end:]


def _from_pytest(lines: Sequence[str]) -> FailingLine | None:
    last = _last(lines, _MESSAGE)
    if last is None:
        return None
    first = last
    while first > 0 and _MESSAGE.fullmatch(lines[first - 1]):
        first -= 1
    messages = [match[1] for line in lines[first : last + 1] if (match := _MESSAGE.fullmatch(line)) and match[1]]
    below = _last(lines[last + 1 :], _LOCATION)
    above = _last(lines[:first], _FRAME)
    location = ""
    if below is not None:
        location = lines[last + 1 + below]
    elif above is not None:
        location = lines[above].rsplit(": in ", 1)[0]
    # A line that ends with a colon introduces the informative one.
    count = 2 if messages and messages[0].endswith(":") else 1
    return _line(" ".join(messages[:count]), location)


def _from_python(lines: Sequence[str]) -> FailingLine | None:
    frame = _last(lines, _NATIVE_FRAME)
    if frame is None:
        return None
    match = _NATIVE_FRAME.fullmatch(lines[frame])
    location = f"{match[1]}:{match[2]}" if match else ""
    below = (line.removeprefix(_GROUP_PREFIX) for line in lines[frame + 1 :])
    return _line(next((line for line in below if line and not line.startswith(" ")), ""), location)


def _from_text(lines: Sequence[str]) -> FailingLine | None:
    text = next((line.strip() for line in lines if line.strip()), None)
    return _line(text, "") if text else None


def _last(lines: Sequence[str], pattern: re.Pattern[str]) -> int | None:
    return next((index for index in range(len(lines) - 1, -1, -1) if pattern.fullmatch(lines[index])), None)


def _line(message: str, location: str) -> FailingLine:
    return FailingLine(_cut(message), _cut(location))


def _cut(text: str) -> str:
    if len(text) <= LINE_MAX_CHARACTERS:
        return text
    kept = LINE_MAX_CHARACTERS - 40
    return f"{text[:kept]} [... {len(text) - kept:,} characters left out]"
