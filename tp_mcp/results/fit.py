"""Fitting a document into the limits of a result.

What does not fit is cut by structure: lists lose their tail, logs the lines that matter least, paragraphs their middle.
Each cut says what was left out. The conclusion and the next step always stay.
"""

from typing import NamedTuple

from tp_mcp.results.document import Document, Section
from tp_mcp.results.limits import MINIMUM_LIMIT, RESULT_MAX_BYTES, RESULT_MAX_CHARACTERS
from tp_mcp.results.sections import SECTION_MINIMUM, cleaned, whole, within
from tp_mcp.results.text import Size, count_of, shorten_middle, size_of

_GAP = "\n\n"
_GAP_SIZE = size_of(_GAP)

# More than the notice that counts dropped sections can take, with the gap before it.
_NOTICE_MAXIMUM = Size(100, 100)


class _Part(NamedTuple):
    """A section and its whole text."""

    section: Section
    block: str


def render(
    document: Document,
    *,
    max_characters: int = RESULT_MAX_CHARACTERS,
    max_bytes: int = RESULT_MAX_BYTES,
    marker: str,
) -> str:
    """Return the document as text that a model can read.

    The text keeps both limits, is valid UTF-8, and closes every fence that it opens. Where something has to go, the
    conclusion and the next step are shortened only beyond a quarter of the limits each, small sections stay whole, and
    large ones share what is left. Sections for which there is no room at all are dropped from the end, and counted.

    Args:
        document: what to say.
        max_characters: limit in code points, `MINIMUM_LIMIT` at least.
        max_bytes: limit in bytes of UTF-8, `MINIMUM_LIMIT` at least.
        marker: the fences' marker, made for this result by `new_marker`.

    Raises:
        ValueError: a limit is below `MINIMUM_LIMIT`, or the marker is not one of `new_marker`'s kind.

    """
    limit = Size(max_characters, max_bytes)
    if min(limit) < MINIMUM_LIMIT:
        raise ValueError(f"a document needs {MINIMUM_LIMIT} characters and bytes at least")
    document = cleaned(document, marker)
    parts = [_Part(section, block) for section in document.sections if (block := whole(section, marker))]
    everything = _join([document.conclusion, *(part.block for part in parts), document.next_step])
    if limit.holds(size_of(everything)):
        return everything
    return _fit(document, parts, limit, marker)


def _fit(document: Document, parts: list[_Part], limit: Size, marker: str) -> str:
    next_step = shorten_middle(document.next_step, limit.part(4))
    # Each section pays for the gap before it.
    needs = [_need(size_of(part.block)).plus(_GAP_SIZE) for part in parts]
    needed = Size(sum(need.characters for need in needs), sum(need.octets for need in needs))
    half = limit.part(2).minus(_GAP_SIZE)
    for_sections = Size(min(needed.characters, half.characters), min(needed.octets, half.octets))
    room = limit.minus(size_of(next_step)).minus(_GAP_SIZE)
    conclusion = shorten_middle(document.conclusion, room.minus(for_sections))
    sections = _fit_sections(parts, room.minus(size_of(conclusion)), marker)
    return _join([conclusion, *sections, next_step])


def _fit_sections(parts: list[_Part], room: Size, marker: str) -> list[str]:
    needs = [_need(size_of(part.block)) for part in parts]
    shown = _how_many(needs, room)
    dropped = [_dropped(parts[shown:])] if shown < len(parts) else []
    room = room.minus(size_of("".join(_GAP + notice for notice in dropped)))
    room = room.minus(size_of(_GAP * shown))
    characters = _share([need.characters for need in needs[:shown]], room.characters)
    octets = _share([need.octets for need in needs[:shown]], room.octets)
    written = [
        part.block if limit.holds(size_of(part.block)) else within(part.section, limit, marker)
        for part, limit in zip(parts[:shown], map(Size, characters, octets), strict=True)
    ]
    return written + dropped


def _need(size: Size) -> Size:
    """Return what a section needs; where its bytes and characters differ, enough of both to cut it by either."""
    if size.characters == size.octets:
        return size
    return Size(max(size.characters, SECTION_MINIMUM), max(size.octets, SECTION_MINIMUM))


def _how_many(needs: list[Size], room: Size) -> int:
    """Return for how many sections, from the first on, there is room to say at least a part of each."""
    least = [Size(*(min(part, SECTION_MINIMUM) for part in need)).plus(_GAP_SIZE) for need in needs]
    if room.holds(Size(sum(size.characters for size in least), sum(size.octets for size in least))):
        return len(needs)
    room = room.minus(_NOTICE_MAXIMUM)
    shown = 0
    while room.holds(least[shown]):
        room = room.minus(least[shown])
        shown += 1
    return shown


def _share(needs: list[int], available: int) -> list[int]:
    """Divide what is available: whoever needs less than an equal share gets it all, the others share the rest."""
    shares = [0] * len(needs)
    for position, index in enumerate(sorted(range(len(needs)), key=needs.__getitem__)):
        shares[index] = min(needs[index], available // (len(needs) - position))
        available -= shares[index]
    return shares


def _dropped(parts: list[_Part]) -> str:
    characters = sum(len(part.block) for part in parts)
    return f"[... {count_of(len(parts), 'section')} left out, {count_of(characters, 'character')} ...]"


def _join(blocks: list[str]) -> str:
    return _GAP.join(block for block in blocks if block)
