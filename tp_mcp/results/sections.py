"""Writing one section, whole or within a limit."""

from tp_mcp.results.code_fences import closed, room_to_close
from tp_mcp.results.document import Document, ItemList, LogExcerpt, Paragraph, Section
from tp_mcp.results.fence import clean, fence, mask, one_line
from tp_mcp.results.json_fit import fit_json
from tp_mcp.results.logs import cut_log
from tp_mcp.results.structure import shorten_structure
from tp_mcp.results.text import Size, shorten_middle, size_of

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
    """Return a cleaned section within a limit of `SECTION_MINIMUM` at least, saying what was left out."""
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
