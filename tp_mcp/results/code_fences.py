"""Code fences in a text that was cut: one that lost its end would take in whatever follows."""

import re

from tp_mcp.results.text import Size

_FENCE = re.compile(r"^ {0,3}(`{3,16}|~{3,16})([^\n]*)$", re.MULTILINE)


def room_to_close(text: str) -> Size:
    """Return what closing a fence of a text can take."""
    longest = max((len(found[1]) + 1 for found in _FENCE.finditer(text)), default=0)
    return Size(longest, longest)


def closed(text: str) -> str:
    """Return a text whose last code fence is closed."""
    opening = ""
    for found in _FENCE.finditer(text):
        mark, rest = found.groups()
        if not opening:
            opening = mark
        elif mark.startswith(opening) and not rest.strip():
            opening = ""
    return f"{text}\n{opening}" if opening else text
