"""Parsing of a failed row's log into its exceptions, frames and captured output.

pytest writes the exceptions of a chain in order; the last one is the one that the test raised. Long, short and native
tracebacks are supported; `--tb=line` and `--tb=no` give one line of text and no frame.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tp_mcp.triage.failing_line import TERMINAL, split_log

CAPTURED_MAX_CHARACTERS = 60_000
"""Length of the end of the captured output that is searched: the last output is closest to the failure."""

_MESSAGE = re.compile(r"E(?: {1,}(\S.*)?)?")
_LOCATION = re.compile(r"(\S.*?):(\d+): ?(?:[\w.]+)?")
_LEADING_LOCATION = re.compile(r"^\S+:\d+: ")
_FRAME = re.compile(r"(\S.*?):(\d+): in (\S.*)")
_NATIVE_FRAME = re.compile(r'(?: {2}[|] )? {2}File "(.+)", line (\d+), in (.+)')
_DEFINED = re.compile(r"[> ] {3}\s*(?:async )?def (\w+)")
_FOREIGN = re.compile(
    r"(?:^|[/\\])(?:site-packages|dist-packages|lib(?:64)?[/\\]python\d[\d.]*|usr[/\\]lib)[/\\]|^<|^\.\."
)
_EXCEPTION = re.compile(r"([A-Za-z_][\w.]*)(?:: |:$|$)")
_ERROR_NAME = re.compile(r"\w*(?:Error|Exception|Warning|Failed|Interrupt|Exit|Timeout)$|[A-Z]\w*[a-z]\w*$")


@dataclass(frozen=True, slots=True)
class Frame:
    """A stack frame of a failure, as pytest shows it; the function is empty if the traceback does not show it."""

    path: str
    line: int
    function: str

    @property
    def own(self) -> bool:
        """Return whether the frame is in the tests' own code, including helpers, and not in a library."""
        return _FOREIGN.search(self.path) is None


@dataclass(frozen=True, slots=True)
class Traceback:
    """A parsed log of a failed row.

    Attributes:
        exception: name of the exception that the test raised, without its module; empty if there is none.
        message: message of the exception, possibly of several lines; empty if there is none.
        causes: lines of the earlier exceptions in the chain.
        frames: stack frames, the deepest last.
        captured: output of the test.
    """

    exception: str
    message: str
    causes: tuple[str, ...]
    frames: tuple[Frame, ...]
    captured: str

    @property
    def own_frame(self) -> Frame | None:
        """Return the deepest frame in the tests' own code."""
        return next((frame for frame in reversed(self.frames) if frame.own), None)


def read_traceback(log: str) -> Traceback:
    """Parse the log of a failed row."""
    lines, captured = split_log(log)
    blocks = list(_blocks(lines)) or list(_native_blocks(lines))
    if not blocks:
        first = next((line.strip() for line in lines if line.strip()), "")
        blocks = [[_LEADING_LOCATION.sub("", first)]] if first else []
    exception, message = _named(blocks[-1]) if blocks else ("", "")
    return Traceback(
        exception=exception,
        message=message,
        causes=tuple(line for block in blocks[:-1] for line in block),
        frames=tuple(_frames(lines)),
        captured=TERMINAL.sub("", captured[-CAPTURED_MAX_CHARACTERS:]),
    )


def _blocks(lines: Sequence[str]) -> Iterator[list[str]]:
    """Yield the lines of each exception, which start with an E."""
    block: list[str] = []
    for line in lines:
        if match := _MESSAGE.fullmatch(line):
            block.append((match[1] or "").rstrip())
        elif block:
            yield block
            block = []
    if block:
        yield block


def _native_blocks(lines: Sequence[str]) -> Iterator[list[str]]:
    inside = False
    for line in lines:
        bare = line.removeprefix("  | ")
        if _NATIVE_FRAME.fullmatch(line):
            inside = True
        elif inside and bare and not bare.startswith(" "):
            inside = False
            yield [bare]


def _frames(lines: Sequence[str]) -> Iterator[Frame]:
    function = ""
    for line in lines:
        if defined := _DEFINED.match(line):
            function = defined[1]
        elif match := _FRAME.fullmatch(line) or _NATIVE_FRAME.fullmatch(line):
            yield Frame(match[1], int(match[2]), match[3])
        elif match := _LOCATION.fullmatch(line):
            yield Frame(match[1], int(match[2]), function)
            function = ""


def _named(block: Sequence[str]) -> tuple[str, str]:
    """Return an exception's name and its words."""
    first, rest = block[0], [line for line in block[1:] if line]
    match = _EXCEPTION.match(first)
    name = match[1].rsplit(".", 1)[-1] if match else ""
    if match is None or not _ERROR_NAME.match(name):
        # pytest leaves the name away for a bare assert, and for fixtures that are not found.
        bare = "AssertionError" if first.startswith("assert ") else ""
        return bare, "\n".join([first, *rest])
    return name, "\n".join(line for line in (first[match.end() :].strip(), *rest) if line)
