"""Cutting a log: its head, its tail, and the lines that matter between them.

A log can have millions of lines. Only those that could be shown are measured and matched against patterns.
"""

import re
from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from tp_mcp.redaction import clean
from tp_mcp.results.structure import shorten_structure
from tp_mcp.results.text import Size, cut_mark, shorten_middle, size_of

FIRST_FRAMES = 1
LAST_FRAMES = 2

# Tracebacks and assertion lines of pytest, its headings and its summary, and the words of programs that fail.
_MATTERS = re.compile(
    r"^E  |^> |^={3,} .*={3,}$|^Traceback|\.py:\d+: |^(?:FAILED|ERROR) "
    r"|(?:Error|Exception|ERROR|CRITICAL|FATAL|FAILED|FAILURE)\b|\b(?:error|fatal|failed|panic)\b"
)
_MARKS = (
    *("E  ", "> ", "===", "___", "Traceback", ".py:", "FAILED", "ERROR", "Error", "Exception", "CRITICAL", "FATAL"),
    *("FAILURE", "error", "fatal", "failed", "panic"),
)
"""A line without any of these matches none of the patterns that begin something: looking for them is much faster."""
_PYTHON_BEGINS = re.compile(r"(.*?)Traceback \(most recent call last\):\s*$")
_PYTHON_FRAME = re.compile(r'\s+File ".*", line \d+')
_PYTEST_BEGINS = re.compile(r"_{3,} .+ _{3,}$")
_PYTEST_ENDS = re.compile(r"={3,} .*={3,}$|-{3,} .* -{3,}$")
_PYTEST_FRAME = re.compile(r"\S.*?:\d+: ")
_PYTEST_ERROR = re.compile(r"E   ")
_ERRORS_OF_A_TEST = 3

_TELLING, _FRAME, _MENTION = range(3)


def telling_lines(lines: Sequence[str], among: Iterable[int] | None = None) -> list[int]:
    """Return the indexes of the lines that tell why something failed, the most telling first, else in order.

    Args:
        among: the indexes of those with one of `_MARKS`, in order; None where that is not known.
    """
    marked = range(len(lines)) if among is None else among
    ranks: dict[int, int] = {}
    python, pytest = [], []
    for index in marked:
        line = lines[index]
        if _MATTERS.search(line):
            ranks[index] = _MENTION
        if "Traceback" in line and (header := _PYTHON_BEGINS.match(line)):
            python.append((index, header[1]))
        if line.startswith("___") and _PYTEST_BEGINS.match(line):
            pytest.append(index)
    for index, rank in (*_of_python(lines, python), *_of_pytest(lines, pytest)):
        ranks[index] = min(rank, ranks.get(index, rank))
    return sorted(ranks, key=lambda index: (ranks[index], index))


def _of_python(lines: Sequence[str], begins: Sequence[tuple[int, str]]) -> Iterator[tuple[int, int]]:
    for begin, before in begins:
        end = begin + 1
        # All its lines may have the same prefix; a logger's prefix of the first line alone is none.
        lead = before if end < len(lines) and lines[end].startswith(before) else ""
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


def _of_pytest(lines: Sequence[str], begins: Sequence[int]) -> Iterator[tuple[int, int]]:
    for begin in begins:
        end = begin + 1
        while end < len(lines) and not (_PYTEST_BEGINS.match(lines[end]) or _PYTEST_ENDS.match(lines[end])):
            end += 1
        frames = [index for index in range(begin, end) if _PYTEST_FRAME.match(lines[index])]
        errors = [index for index in range(begin, end) if _PYTEST_ERROR.match(lines[index])]
        yield begin, _FRAME
        yield from ((index, _FRAME) for index in (*frames[:FIRST_FRAMES], *frames[-LAST_FRAMES:]))
        yield from ((index, _TELLING) for index in errors[:_ERRORS_OF_A_TEST])


def _marked(text: str, lines: Sequence[str]) -> list[int]:
    """Return the indexes of the lines that have one of `_MARKS`."""
    begins = list(accumulate((len(line) + 1 for line in lines), initial=0))
    found: set[int] = set()
    for mark in _MARKS:
        at = text.find(mark)
        while at >= 0:
            index = bisect(begins, at) - 1
            found.add(index)
            at = text.find(mark, begins[index + 1])
    return sorted(found)


LINE_MAX_CHARACTERS = 400
"""Longest line of a log of many lines that had to be cut, in characters and in bytes."""

_SMALLEST = 200


def cut_log(text: str, limit: Size) -> str:
    """Return a log within a limit, with a mark wherever lines were left out.

    Long lines are shortened in their middle first. Then about a third of the room goes to the tail, a sixth to the
    head, and the rest to the lines that matter, the most telling first; room that is left extends the tail.
    """
    if limit.holds(size_of(text)):
        return text
    if min(limit) < _SMALLEST:
        return shorten_middle(text, limit)
    original = text.split("\n")
    mark = size_of(cut_mark(len(text)) + "\n")
    # One mark before the tail and one after the head; a line that stands alone between them brings its own.
    room = limit.minus(mark).minus(mark)
    # Where there are few lines each may be longer than usual.
    longest = max(min(LINE_MAX_CHARACTERS, min(limit) // 4), min(room) // len(original) - 1)
    # A character takes four bytes at most.
    lines = [line if 4 * len(line) <= longest else shorten_structure(line, Size(longest, longest)) for line in original]
    return _assemble(original, lines, _choose(lines, _marked(text, original), room, mark))


def _choose(lines: Sequence[str], marked: Sequence[int], room: Size, mark: Size) -> set[int]:
    """Return the indexes of the lines to keep, the last one always among them."""
    chosen = {len(lines) - 1}
    room = room.minus(_cost(lines[-1]))
    forwards, backwards = range(len(lines)), range(len(lines) - 1, -1, -1)
    room = _take(backwards, lines, chosen, room, share=room.part(3))
    room = _take(forwards, lines, chosen, room, share=room.part(4))
    for index in telling_lines(lines, marked):
        cost = _cost(lines[index])
        if not chosen & {index - 1, index + 1}:
            cost = cost.plus(mark)
        if index not in chosen and room.holds(cost):
            chosen.add(index)
            room = room.minus(cost)
    _take(backwards, lines, chosen, room, share=room)
    return chosen


def _cost(line: str) -> Size:
    return size_of(line).plus(Size(1, 1))


def _take(order: range, lines: Sequence[str], chosen: set[int], room: Size, *, share: Size) -> Size:
    """Choose lines in order until the share is used up, and return the room that is left."""
    for index in order:
        if index in chosen:
            continue
        cost = _cost(lines[index])
        if not share.holds(cost):
            break
        chosen.add(index)
        share = share.minus(cost)
        room = room.minus(cost)
    return room


def _assemble(original: Sequence[str], lines: Sequence[str], chosen: set[int]) -> str:
    shown: list[str] = []
    after = 0
    for index in sorted(chosen):
        if index > after:
            shown.append(cut_mark(sum(map(len, original[after:index])) + index - after))
        shown.append(lines[index])
        after = index + 1
    return "\n".join(shown)


FULL_TAIL_CHARACTERS = 1_900
"""From here on a log is taken for the cut end of a longer one; TP shows 2,048 bytes."""

TERMINAL_WIDTHS = frozenset({80, 132})
"""Columns at which a session's terminal breaks a line."""

PARTIAL_LINES = 2
"""How many lines of a cut log may belong to a line that began before it."""

COMMAND_LEFT_OUT = "[the command, with its password, is left out]"
BEGINNING_LEFT_OUT = "[the first, partial lines are left out]"

# A terminal that breaks a line without ending it writes a space and returns.
_SOFT_BREAK = re.compile(r" \r(?!\n)")
_ECHO = re.compile(r"\s*".join("executerestoreimagescp"))
_WORDS_AFTER_ECHO = 4


def without_command(log: str) -> str:
    """Return the cleaned log without the command, and without the partial lines that a cut one begins with."""
    lines = clean(_SOFT_BREAK.sub("", log)).split("\n")
    beginning: list[str] = []
    if len(log) >= FULL_TAIL_CHARACTERS:
        lines = lines[_continued(lines, PARTIAL_LINES - 1) :]
        beginning = [BEGINNING_LEFT_OUT]
    shown: list[str] = []
    text = "\n".join(lines)
    while (echo := _ECHO.search(text)) is not None:
        shown.append(f"{text[: echo.start()]}{COMMAND_LEFT_OUT}")
        text = _after_command(text[echo.end() :])
    return "\n".join([*beginning, *shown, text])


def _after_command(text: str) -> str:
    lines = text.split("\n")
    words = len(lines[0].split())
    last = 0
    while words < _WORDS_AFTER_ECHO and last < len(lines) - 1:
        last += 1
        words += len(lines[last].split())
    return "\n".join(lines[_continued(lines, last) :])


def _continued(lines: list[str], last: int) -> int:
    """Return the index of the first line that belongs to the command no more, `last` being one that does."""
    following = last + 1
    while following < len(lines) and (
        len(lines[following].split()) == 1 or len(lines[following - 1]) in TERMINAL_WIDTHS
    ):
        following += 1
    return following
