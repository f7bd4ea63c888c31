"""Fitting a document into the limits of a result.

What does not fit is cut by structure: lists lose their tail, logs the lines that matter least, paragraphs their middle.
Each cut counts the parts that were left out. The conclusion and the next step always stay.
"""

from typing import NamedTuple

from tp_mcp.redaction import clean, one_line
from tp_mcp.results.document import Document, ItemList, LogExcerpt, Paragraph, Section
from tp_mcp.results.fence import fence, mask
from tp_mcp.results.limits import MINIMUM_LIMIT, RESULT_MAX_BYTES, RESULT_MAX_CHARACTERS
from tp_mcp.results.log_excerpt import cut_log
from tp_mcp.results.structure import closed, fit_json, room_to_close, shorten_structure
from tp_mcp.results.text import Size, count_of, shorten_middle, size_of

SECTION_MINIMUM = 240
"""Room, in characters and in bytes, in which every section can be written."""


def cleaned(document: Document, marker: str) -> Document:
    """Return the document with nothing in it that is invisible or could be taken for the marker."""

    def text(value: str) -> str:
        return mask(clean(value), marker).strip()

    def line(value: str) -> str:
        return mask(one_line(value), marker)

    def section(value: Section) -> Section:
        if isinstance(value, Paragraph):
            return Paragraph(text(value.text))
        if isinstance(value, ItemList):
            items = tuple(text(item) for item in value.items)
            return ItemList(line(value.heading), items, line(value.rest), line(value.source))
        log = mask(clean(value.text), marker)
        if not value.exact:
            # Spaces at the start of a log's first line belong to it.
            log = log.rstrip().lstrip("\n")
        return LogExcerpt(line(value.heading), log, line(value.source) or "outside", value.exact)

    return Document(
        conclusion=text(document.conclusion),
        sections=tuple(section(value) for value in document.sections),
        next_step=text(document.next_step),
    )


def whole(section: Section, marker: str) -> str:
    """Return a cleaned section in full."""
    if isinstance(section, Paragraph):
        return section.text
    if isinstance(section, ItemList):
        items = [_item(item) for item in section.items]
        return "\n".join([*_heading(section.heading, empty=not items), *_items(items, section.source, marker)])
    if not section.text:
        return "\n".join(_heading(section.heading, empty=True))
    return "\n".join([*_heading(section.heading), fence(section.text, marker, source=section.source)])


def within(section: Section, limit: Size, marker: str) -> str:
    """Return a cleaned section within a limit of `SECTION_MINIMUM` at least; each cut counts what it left out."""
    if isinstance(section, Paragraph):
        return shorten_structure(section.text, limit)
    if isinstance(section, ItemList):
        return _list_within(section, limit, marker)
    heading = shorten_middle(section.heading, limit.part(6))
    source = shorten_middle(section.source, limit.part(6))
    frame = whole(LogExcerpt(heading, "-", source), marker)
    return whole(LogExcerpt(heading, _log_within(section.text, limit.minus(size_of(frame))), source), marker)


def _log_within(text: str, limit: Size) -> str:
    if (cut := fit_json(text, limit)) is not None:
        return cut
    closing = room_to_close(text)
    cut = cut_log(text, limit.minus(closing))
    return closed(cut) if closing.characters else cut


def _list_within(section: ItemList, limit: Size, marker: str) -> str:
    # A fence takes its room too.
    share = limit.part(6 if section.source else 4)
    heading = _heading(shorten_middle(section.heading, share), empty=not section.items)
    source = shorten_middle(section.source, share)
    items = [_item_within(item, limit.part(4)) for item in section.items]
    everything = "\n".join([*heading, *_items(items, source, marker)])
    if limit.holds(size_of(everything)):
        return everything
    rest = shorten_middle(section.rest, share)
    room = limit.minus(size_of("\n".join([*heading, *_items([""], source, marker), _more(len(items), rest)])))
    kept = 0
    # It ends before the last item: all of them do not fit even without the line that counts the rest.
    while room.holds(cost := size_of(items[kept] + "\n")):
        room = room.minus(cost)
        kept += 1
    return "\n".join([*heading, *_items(items[:kept], source, marker), _more(len(items) - kept, rest)])


def _heading(heading: str, *, empty: bool = False) -> list[str]:
    if empty:
        return [f"{heading}: none" if heading else "none"]
    return [f"{heading}:"] if heading else []


def _items(items: list[str], source: str, marker: str) -> list[str]:
    return [fence("\n".join(items), marker, label="list", source=source)] if source and items else items


def _item(item: str) -> str:
    return "- " + item.replace("\n", "\n  ")


def _item_within(item: str, limit: Size) -> str:
    bullet = _item("")
    cut = fit_json(item, limit.minus(size_of(bullet))) if not limit.holds(size_of(_item(item))) else None
    return bullet + cut if cut is not None else shorten_structure(_item(item), limit)


def _more(count: int, rest: str) -> str:
    return f"and {count:,} more: {rest}" if rest else f"and {count:,} more"


_GAP = "\n\n"
_GAP_SIZE = size_of(_GAP)

# More than the notice that counts dropped sections can take, with the gap before it.
_NOTICE_MAXIMUM = Size(100, 100)


class _Part(NamedTuple):
    """A section and its whole text."""

    section: Section
    block: str


def render(
    document: Document, *, max_characters: int = RESULT_MAX_CHARACTERS, max_bytes: int = RESULT_MAX_BYTES, marker: str
) -> str:
    """Return the document as text that a model can read.

    The text keeps both limits, is valid UTF-8, and closes every fence that it opens. Where something has to go, the
    conclusion and the next step are shortened only beyond a quarter of the limits each, small sections stay whole, and
    large ones share what is left. Sections for which there is no room at all are dropped from the end, and counted.

    Args:
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
    """Return the room a section needs; where its bytes and characters differ, enough of both to cut it by either."""
    if size.characters == size.octets:
        return size
    return Size(max(size.characters, SECTION_MINIMUM), max(size.octets, SECTION_MINIMUM))


def _how_many(needs: list[Size], room: Size) -> int:
    """Return how many leading sections fit, at least in part."""
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
    """Divide the room: a section that needs less than an equal share gets all it needs; the others share the rest."""
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
