"""Which lines of a log tell why something failed, the most telling first.

Of a traceback these are the error itself, then its first frame, where it began, and its last ones, where it broke; what
is between them comes last.
"""

import re
from collections.abc import Iterator, Sequence

FIRST_FRAMES = 1
LAST_FRAMES = 2

# Tracebacks and assertion lines of pytest, its headings and its summary, and what programs say when they fail.
_MATTERS = re.compile(
    r"^E  |^> |^={3,} .*={3,}$|^Traceback|\.py:\d+: |^(?:FAILED|ERROR) "
    r"|(?:Error|Exception|ERROR|CRITICAL|FATAL|FAILED|FAILURE)\b|\b(?:error|fatal|failed|panic)\b"
)
_PYTHON_BEGINS = re.compile(r"(.*?)Traceback \(most recent call last\):\s*$")
_PYTHON_FRAME = re.compile(r'\s+File ".*", line \d+')
_PYTEST_BEGINS = re.compile(r"_{3,} .+ _{3,}$")
_PYTEST_ENDS = re.compile(r"={3,} .*={3,}$|-{3,} .* -{3,}$")
_PYTEST_FRAME = re.compile(r"\S.*?:\d+: ")
_PYTEST_ERROR = re.compile(r"E   ")
_ERRORS_OF_A_TEST = 3

_TELLING, _FRAME, _MENTION = range(3)


def telling_lines(lines: Sequence[str]) -> list[int]:
    """Return the indexes of the lines that tell why something failed, the most telling first, else in order."""
    ranks = {index: _MENTION for index, line in enumerate(lines) if _MATTERS.search(line)}
    for index, rank in (*_of_python(lines), *_of_pytest(lines)):
        ranks[index] = min(rank, ranks.get(index, rank))
    return sorted(ranks, key=lambda index: (ranks[index], index))


def _of_python(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    for begin, line in enumerate(lines):
        header = _PYTHON_BEGINS.match(line)
        if header is None:
            continue
        end = begin + 1
        # Its lines may all stand behind the same lead; what a logger puts before the first one is none.
        lead = header[1] if end < len(lines) and lines[end].startswith(header[1]) else ""
        while end < len(lines) and lines[end].startswith(f"{lead} "):
            end += 1
        frames = [index for index in range(begin + 1, end) if _PYTHON_FRAME.match(lines[index], len(lead))]
        yield begin, _FRAME
        for frame in (*frames[:FIRST_FRAMES], *frames[-LAST_FRAMES:]):
            yield frame, _FRAME
            if frame + 1 < end and frame + 1 not in frames:
                yield frame + 1, _FRAME
        if end < len(lines):
            yield end, _TELLING


def _of_pytest(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    begins = [index for index, line in enumerate(lines) if _PYTEST_BEGINS.match(line)]
    for begin in begins:
        end = begin + 1
        while end < len(lines) and not (_PYTEST_BEGINS.match(lines[end]) or _PYTEST_ENDS.match(lines[end])):
            end += 1
        frames = [index for index in range(begin, end) if _PYTEST_FRAME.match(lines[index])]
        errors = [index for index in range(begin, end) if _PYTEST_ERROR.match(lines[index])]
        yield begin, _FRAME
        yield from ((index, _FRAME) for index in (*frames[:FIRST_FRAMES], *frames[-LAST_FRAMES:]))
        yield from ((index, _TELLING) for index in errors[:_ERRORS_OF_A_TEST])
