"""A tool's document, the inbox and errors, as what a client gets: one text, within the limits."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import assert_never

from mcp.types import CallToolResult, TextContent

from tp_mcp.errors import TpMcpError
from tp_mcp.redaction import Redactor
from tp_mcp.results.document import Document, ItemList, LogExcerpt, Paragraph, Section
from tp_mcp.results.fence import clean, new_marker
from tp_mcp.results.fit import render
from tp_mcp.results.limits import (
    ERROR_MAX_CHARACTERS,
    INBOX_MAX_CHARACTERS,
    INBOX_MAX_ENTRIES,
    RESULT_MAX_BYTES,
    RESULT_MAX_CHARACTERS,
)
from tp_mcp.results.text import shorten, size_of
from tp_mcp.watch.states import InboxEntry

INBOX_HEADING = "--- Ended since you last looked (reported until seen) ---"
INBOX_CUT = "wait_for_watch tells an end in full."


def shown(text: str, redactor: Redactor) -> str:
    """Return text without secrets and without what no reader sees."""
    # Before: what a terminal drew over may hold half a secret. After: control sequences may have hidden one.
    redacted = redactor.redact(text)
    cleaned = clean(redacted)
    return cleaned if cleaned == redacted else redactor.redact(cleaned)


def result_text(document: Document, inbox: str, redactor: Redactor) -> str:
    """Return a result as text, with the inbox at its end, within the limits of a result."""
    return _fitted(document, inbox, redactor, max_characters=RESULT_MAX_CHARACTERS)


def error_text(error: TpMcpError, inbox: str, redactor: Redactor) -> str:
    """Return an error as text, with the inbox at its end, within the limits of an error."""
    document = Document(conclusion=error.message, next_step=error.remedy)
    return _fitted(document, inbox, redactor, max_characters=ERROR_MAX_CHARACTERS)


def inbox_text(entries: Sequence[InboxEntry], *, total: int | None = None) -> tuple[str, tuple[str, ...]]:
    """Return the ends to append to a result, and the ids of the watches that it tells in full or in part.

    Args:
        entries: the ends, or the first of them.
        total: how many there are in all; None where that is all of them.

    """
    shown = entries[:INBOX_MAX_ENTRIES]
    if not shown:
        return "", ()
    more = (len(entries) if total is None else total) - len(shown)
    tail = [f'+{more} more: list_watches(state="ended")'] if more else []
    texts = [clean(entry.text) for entry in shown]
    frame = "\n".join([INBOX_HEADING, INBOX_CUT, *tail])
    fitted = _sharing(texts, INBOX_MAX_CHARACTERS - len(frame) - len(texts))
    cut = [INBOX_CUT] if fitted != texts else []
    return "\n".join([INBOX_HEADING, *fitted, *cut, *tail]), tuple(entry.watch_id for entry in shown)


def tool_result(text: str, *, is_error: bool = False) -> CallToolResult:
    """Return text as a tool's result. There is no structured twin: some clients would read both."""
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=is_error)


def _fitted(document: Document, inbox: str, redactor: Redactor, *, max_characters: int) -> str:
    # Secrets go before the text is fitted: what stands for one may be longer than the secret was.
    appended = f"\n\n{shown(inbox, redactor)}" if inbox else ""
    room = size_of(appended)
    body = render(
        _redacted(document, lambda text: shown(text, redactor)),
        max_characters=max_characters - room.characters,
        max_bytes=RESULT_MAX_BYTES - room.octets,
        marker=new_marker(),
    )
    return body + appended


def _sharing(texts: list[str], available: int) -> list[str]:
    """Shorten texts to what is available in all: one that needs less than an equal share leaves the rest to others."""
    fitted = list(texts)
    for position, index in enumerate(sorted(range(len(texts)), key=lambda index: len(texts[index]))):
        fitted[index] = shorten(texts[index], available // (len(texts) - position))
        available -= len(fitted[index])
    return fitted


def _redacted(document: Document, redact: Callable[[str], str]) -> Document:
    def section(value: Section) -> Section:
        match value:
            case Paragraph():
                return Paragraph(redact(value.text))
            case ItemList():
                items = tuple(redact(item) for item in value.items)
                return replace(value, heading=redact(value.heading), items=items, rest=redact(value.rest))
            case LogExcerpt():
                return replace(value, heading=redact(value.heading), text=redact(value.text))
            case _:
                assert_never(value)

    return Document(
        redact(document.conclusion), tuple(section(value) for value in document.sections), redact(document.next_step)
    )
