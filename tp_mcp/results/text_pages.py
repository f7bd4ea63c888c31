"""Reads a stored text: page by page, its beginning, its end, or the lines that match a pattern.

Offsets count characters, lines count from 1. Consecutive pages make up the text exactly.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tp_mcp.results.text import Size, head_within, shorten_middle, size_of, tail_within

LINE_MAX_CHARACTERS = 400
"""Longest line in the result of a search; a longer one is cut around the match."""

Find = Callable[[str], int | None]
"""Returns the place of a match in a line; None where there is none."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a text.

    Attributes:
        begin: its first character.
        end: the character after its last one.
        first_line: the line that it begins in.
        last_line: the line that it ends in.
        lines: how many lines the whole text has.
    """

    text: str
    begin: int
    end: int
    first_line: int
    last_line: int
    lines: int


@dataclass(frozen=True, slots=True)
class Matches:
    """The result of a search.

    Attributes:
        text: the matching lines, `12: ...`, with the lines around them, `11- ...`; groups are separated.
        count: how many lines match.
        end: where the search continues; None where everything was searched.
        searched: how many lines were searched.
        first_line: the line that the search began in.
    """

    text: str
    count: int
    end: int | None
    searched: int
    first_line: int


def page(text: str, begin: int, room: Size, *, stop: int | None = None) -> Page:
    """Return the part from `begin` on that fits, up to the end of a line where that is possible.

    Args:
        room: the largest part; four characters at least.
        stop: the latest end; the end of the text where None.
    """
    stop = len(text) if stop is None else stop
    # No more than could fit: the text may be large.
    part = text[begin : min(stop, begin + room.characters)]
    end = begin + len(head_within(part, room))
    if end < stop:
        line_end = text.rfind("\n", begin, end) + 1
        end = line_end or end
    return _page(text, begin, end)


def head(text: str, lines: int, room: Size) -> Page:
    """Return the first lines, as far as they fit."""
    stop = 0
    for _ in range(lines):
        stop = text.find("\n", stop) + 1
        if stop == 0:
            return page(text, 0, room)
    return page(text, 0, room, stop=stop)


def tail(text: str, lines: int, room: Size) -> Page:
    """Return the last lines, as far as they fit."""
    begin = len(text) - 1 if text.endswith("\n") else len(text)
    for _ in range(lines):
        begin = text.rfind("\n", 0, begin)
        if begin < 0:
            break
    begin += 1
    fitting = len(text) - len(tail_within(text[max(begin, len(text) - room.characters) :], room))
    if fitting > begin:
        line = text.find("\n", fitting, len(text) - 1) + 1
        begin = line or fitting
    return _page(text, begin, len(text))


def search(
    text: str, begin: int, find: Find, room: Size, *, context: int, goes_on: Callable[[], bool] = lambda: True
) -> Matches:
    """Return the lines in which a pattern is found, from the line at `begin` on.

    Args:
        begin: the first character of the first line to search.
        find: returns the place of a match in a line.
        room: the largest result.
        context: number of lines to show before and after each.
        goes_on: returns whether there is time left; called after each line.
    """
    first = text.count("\n", 0, begin) + 1
    shown: list[str] = []
    before: list[tuple[int, str]] = []
    count = searched = after = last_shown = 0
    for number, at, line in _lines(text, begin, first):
        position = find(line)
        searched += 1
        if position is None and not after:
            before = [*before, (number, line)][-context:] if context else []
        else:
            wanted = [f"{each}- {_excerpt(other, None)}" for each, other in before] if position is not None else []
            earliest = number - len(wanted)
            wanted.append(f"{number}{'-' if position is None else ':'} {_excerpt(line, position)}")
            if shown and earliest > last_shown + 1:
                wanted.insert(0, "--")
            cost = size_of("\n".join(wanted) + "\n")
            if not room.holds(cost):
                if not shown:
                    # A match is shown even where its context does not fit.
                    return Matches(shorten_middle(wanted[-1], room), 1, _after(text, at, line), searched, first)
                return Matches("\n".join(shown), count, at, searched - 1, first)
            room = room.minus(cost)
            shown += wanted
            last_shown, before = number, []
            after = context if position is not None else after - 1
            count += position is not None
        if not goes_on():
            return Matches("\n".join(shown), count, _after(text, at, line), searched, first)
    return Matches("\n".join(shown), count, None, searched, first)


def _page(text: str, begin: int, end: int) -> Page:
    first = text.count("\n", 0, begin) + 1
    last = first + text.count("\n", begin, max(end - 1, begin))
    lines = last + text.count("\n", max(end - 1, begin), max(len(text) - 1, 0))
    return Page(text[begin:end], begin, end, first, last, lines)


def _lines(text: str, begin: int, number: int) -> Iterator[tuple[int, int, str]]:
    """Yield each line with its number and its first character."""
    while begin < len(text):
        end = text.find("\n", begin)
        end = len(text) if end < 0 else end
        yield number, begin, text[begin:end]
        begin, number = end + 1, number + 1


def _after(text: str, at: int, line: str) -> int | None:
    following = at + len(line) + 1
    return following if following < len(text) else None


def _excerpt(line: str, position: int | None) -> str:
    """Return a line, or the part of it around a match."""
    if len(line) <= LINE_MAX_CHARACTERS:
        return line
    half = LINE_MAX_CHARACTERS // 2
    begin = max(min((position or 0) - half, len(line) - LINE_MAX_CHARACTERS), 0)
    lead = f"[... {begin:,} characters ...]" if begin else ""
    end = begin + LINE_MAX_CHARACTERS
    rest = f"[... {len(line) - end:,} characters ...]" if end < len(line) else ""
    return f"{lead}{line[begin:end]}{rest}"
