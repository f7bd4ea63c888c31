"""Cutting a log: its head, its tail, and the lines that matter between them."""

import re
from collections.abc import Iterator, Sequence

from tp_mcp.results.structure import shorten_structure
from tp_mcp.results.text import Size, cut_mark, shorten_middle, size_of

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


LINE_MAX_CHARACTERS = 400
"""Longest line of a log of many lines that had to be cut, in characters and in bytes."""

_SMALLEST = 200


def cut_log(text: str, limit: Size) -> str:
    """Return a log within a limit, with a mark wherever lines were left out.

    Long lines are shortened in their middle first. Then about a third of the room goes to the tail, a sixth to the
    head, and the rest to the lines that matter, the most telling first; what these do not need extends the tail.
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
    lines = [shorten_structure(line, Size(longest, longest)) for line in original]
    return _assemble(original, lines, _choose(lines, room, mark))


def _choose(lines: list[str], room: Size, mark: Size) -> set[int]:
    """Return the indexes of the lines to keep, the last one always among them."""
    costs = [size_of(line).plus(Size(1, 1)) for line in lines]
    chosen = {len(lines) - 1}
    room = room.minus(costs[-1])
    forwards, backwards = range(len(lines)), range(len(lines) - 1, -1, -1)
    room = _take(backwards, costs, chosen, room, share=room.part(3))
    room = _take(forwards, costs, chosen, room, share=room.part(4))
    for index in telling_lines(lines):
        cost = costs[index] if chosen & {index - 1, index + 1} else costs[index].plus(mark)
        if index not in chosen and room.holds(cost):
            chosen.add(index)
            room = room.minus(cost)
    _take(backwards, costs, chosen, room, share=room)
    return chosen


def _take(order: range, costs: list[Size], chosen: set[int], room: Size, *, share: Size) -> Size:
    """Choose lines in order until the share is used up, and return the room that is left."""
    for index in order:
        if index in chosen:
            continue
        if not share.holds(costs[index]):
            break
        chosen.add(index)
        share = share.minus(costs[index])
        room = room.minus(costs[index])
    return room


def _assemble(original: list[str], lines: list[str], chosen: set[int]) -> str:
    shown: list[str] = []
    left_out = 0
    for index, line in enumerate(lines):
        if index not in chosen:
            left_out += len(original[index]) + 1
            continue
        if left_out:
            shown.append(cut_mark(left_out))
            left_out = 0
        shown.append(line)
    return "\n".join(shown)
