"""Shortening a text by its kind: JSON stays JSON, a code fence is closed again, any other text loses its middle."""

import json
import re
from collections.abc import Iterator

from pydantic import JsonValue

from tp_mcp.results.text import Size, shorten_middle, size_of

_FENCE = re.compile(r"^ {0,3}(`{3,16}|~{3,16})([^\n]*)$", re.MULTILINE)


def room_to_close(text: str) -> Size:
    """Return the room that closing a code fence of the text can take."""
    longest = max((len(found[1]) + 1 for found in _fences(text)), default=0)
    return Size(longest, longest)


def closed(text: str) -> str:
    """Return a text whose last code fence is closed."""
    opening = ""
    for found in _fences(text):
        mark, rest = found.groups()
        if not opening:
            opening = mark
        elif mark.startswith(opening) and not rest.strip():
            opening = ""
    return f"{text}\n{opening}" if opening else text


def _fences(text: str) -> Iterator[re.Match[str]]:
    if "```" in text or "~~~" in text:
        yield from _FENCE.finditer(text)


JSON_MINIMUM = 40
"""Room, in characters and in bytes, in which anything can be written."""

_MORE = "..."
_FIRST_CAP = 20_000
_SHRINKS_BY = 0.7
_DEEPEST = 60


def fit_json(text: str, limit: Size) -> str | None:
    """Return a text that is JSON within a limit, still JSON; None where it is none, or the limit below the minimum.

    A cut list ends with its count of missing items, as `"[... 12 more ...]"`, a cut object with `"...": "12 more"`.
    """
    if min(limit) < JSON_MINIMUM or text.lstrip()[:1] not in {"{", "["}:
        return None
    try:
        value: JsonValue = json.loads(text)
        return next(cut for cap in _caps() if limit.holds(size_of(cut := _written(_cut(value, cap, _DEEPEST)))))
    except (ValueError, RecursionError):
        return None


def _caps() -> Iterator[int]:
    cap = float(_FIRST_CAP)
    while cap >= 1:
        yield int(cap)
        cap *= _SHRINKS_BY
    yield 0


def _cut(value: JsonValue, cap: int, depth: int) -> JsonValue:
    """Return a value whose texts have at most `cap` characters, and whose lists and objects some part of it each."""
    most = max(cap // 16, min(cap, 1)) if depth else 0
    if isinstance(value, str):
        return shorten_middle(value, Size(max(cap, len(_MORE)), 4 * max(cap, len(_MORE))))
    if isinstance(value, list):
        kept = [_cut(item, cap * 3 // 4, depth - 1) for item in value[:most]]
        return kept if len(value) <= most else [*kept, f"[... {len(value) - most:,} more ...]"]
    if isinstance(value, dict):
        names = list(value)[:most]
        room = Size(max(cap, 8), 4 * max(cap, 8))
        shown = {shorten_middle(name, room): _cut(value[name], cap * 3 // 4, depth - 1) for name in names}
        return shown if len(value) <= most else {**shown, _MORE: f"{len(value) - len(shown):,} more"}
    return value


def _written(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


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
