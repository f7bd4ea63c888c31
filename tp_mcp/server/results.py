"""A tool's document, the inbox and errors, as what a client gets: one text, within the limits."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from mcp_types import CallToolResult, TextContent

from tp_mcp.errors import TpMcpError
from tp_mcp.redaction import Redactor
from tp_mcp.results.document import Document, ItemList, LogExcerpt, Paragraph, Section
from tp_mcp.results.fence import clean, new_marker
from tp_mcp.results.fit import render, render_error
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


def result_text(document: Document, inbox: str, redactor: Redactor) -> str:
    """Return a result as text, with the inbox at its end, within the limits of a result."""
    # Secrets go before the text is fitted: what stands for one may be longer than the secret was.
    inbox = redactor.redact(inbox)
    room = size_of(f"\n\n{inbox}") if inbox else size_of("")
    body = render(
        _redacted(document, redactor.redact),
        max_characters=RESULT_MAX_CHARACTERS - room.characters,
        max_bytes=RESULT_MAX_BYTES - room.octets,
        marker=new_marker(),
    )
    return f"{body}\n\n{inbox}" if inbox else body


def error_text(error: TpMcpError, inbox: str, redactor: Redactor) -> str:
    """Return an error as text, with the inbox at its end, within the limits of an error."""
    inbox = redactor.redact(inbox)
    room = len(inbox) + 2 if inbox else 0
    body = render_error(
        redactor.redact(error.message), redactor.redact(error.remedy), max_characters=ERROR_MAX_CHARACTERS - room
    )
    return f"{body}\n\n{inbox}" if inbox else body


def inbox_text(entries: Sequence[InboxEntry]) -> tuple[str, tuple[str, ...]]:
    """Return the ends to append to a result, and the ids of the watches that it tells in full or in part."""
    shown = entries[:INBOX_MAX_ENTRIES]
    if not shown:
        return "", ()
    more = len(entries) - len(shown)
    tail = f"\n+{more} more: list_watches" if more else ""
    each = (INBOX_MAX_CHARACTERS - len(INBOX_HEADING) - len(tail)) // len(shown) - 1
    # One line shorter per entry than its share, so that the whole keeps its limit.
    lines = [shorten(clean(entry.text), each) for entry in shown]
    return "\n".join([INBOX_HEADING, *lines]) + tail, tuple(entry.watch_id for entry in shown)


def tool_result(text: str, *, is_error: bool = False) -> CallToolResult:
    """Return text as a tool's result. There is no structured twin: some clients would read both."""
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=is_error)


def _redacted(document: Document, redact: Callable[[str], str]) -> Document:
    def section(value: Section) -> Section:
        match value:
            case Paragraph():
                return Paragraph(redact(value.text))
            case ItemList():
                return replace(value, items=tuple(redact(item) for item in value.items))
            case LogExcerpt():
                return replace(value, heading=redact(value.heading), text=redact(value.text))

    return Document(
        redact(document.conclusion), tuple(section(value) for value in document.sections), redact(document.next_step)
    )
