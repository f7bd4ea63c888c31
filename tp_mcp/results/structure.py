"""Shortening a text by what it is: JSON stays JSON, a code fence is closed again, anything else loses its middle."""

from tp_mcp.results.code_fences import closed, room_to_close
from tp_mcp.results.json_fit import fit_json
from tp_mcp.results.text import Size, shorten_middle, size_of


def shorten_structure(text: str, limit: Size) -> str:
    """Return a text within a limit."""
    if limit.holds(size_of(text)):
        return text
    cut = fit_json(text, limit)
    if cut is not None:
        return cut
    closing = room_to_close(text)
    shortened = shorten_middle(text, limit.minus(closing))
    return closed(shortened) if closing.characters else shortened
