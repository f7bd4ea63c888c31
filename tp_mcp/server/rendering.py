"""A tool's document, the inbox and errors, as what a client gets: one text, within the limits."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar, assert_never

import anyio.to_thread

from tp_mcp.errors import StoreError, TpMcpError
from tp_mcp.redaction import NOTHING, Redactor, SafeText
from tp_mcp.results.document import Document, ItemList, LogExcerpt, Paragraph, Section
from tp_mcp.results.fence import new_marker
from tp_mcp.results.fit import render
from tp_mcp.results.limits import (
    ERROR_MAX_CHARACTERS,
    INBOX_MAX_CHARACTERS,
    INBOX_MAX_ENTRIES,
    RESULT_MAX_BYTES,
    RESULT_MAX_CHARACTERS,
)
from tp_mcp.results.stored_results import ENTRY_MAX_BYTES
from tp_mcp.results.text import Size, shorten, size_of
from tp_mcp.watch.model.watch import InboxEntry

INBOX_HEADING = "--- Ended since you last looked (reported until seen) ---"
INBOX_CUT = "wait_for_watch tells an end in full."
KEPT = 'read_result(handle="{handle}") has the whole.'
IN_PART = 'read_result(handle="{handle}") has its beginning and its end; it is too large to be kept whole.'
NOT_KEPT = "The rest could not be kept: {reason}."
CUT_MAX_CHARACTERS = 240
"""Longest line that says where the whole is kept, with the gap before it."""

THREAD_FROM_CHARACTERS = 50_000
"""From here on a result is written on a thread."""

T = TypeVar("T")
Keep = Callable[[str], Awaitable[str]]


def error_text(error: TpMcpError, redactor: Redactor) -> SafeText:
    """Return an error as text, within the limits of an error, where nothing can be kept."""
    document = _safe_document(_as_document(error), redactor)
    fitted = render(document, max_characters=ERROR_MAX_CHARACTERS, max_bytes=RESULT_MAX_BYTES, marker=new_marker())
    return SafeText(fitted)


async def kept_text(
    outcome: Document | TpMcpError, inbox: SafeText, redactor: Redactor, *, max_characters: int, keep: Keep
) -> SafeText:
    """Return a result or an error as text, within its limit; where it has to be cut, the whole is kept.

    Args:
        inbox: what is appended; it is no part of `max_characters`, but of what a result may have in all.
        max_characters: the tool's typical size, for a document; an error has its own limit.
        keep: keeps a text and returns its handle; a StoreError is said in the result.
    """
    appended = f"\n\n{inbox}" if inbox else ""
    if isinstance(outcome, TpMcpError):
        outcome = _as_document(outcome)
        limit = Size(ERROR_MAX_CHARACTERS, RESULT_MAX_BYTES).minus(size_of(appended))
    else:
        most = Size(RESULT_MAX_CHARACTERS, RESULT_MAX_BYTES).minus(size_of(appended))
        limit = most.within(Size(max_characters, RESULT_MAX_BYTES))
    marker = new_marker()
    # A large result is written on a thread: redacting megabytes takes seconds, and polls must go on.
    run = anyio.to_thread.run_sync if _weight(outcome.full or outcome) > THREAD_FROM_CHARACTERS else _here
    document, whole = await run(partial(_whole, outcome, redactor, marker))
    if outcome.full is None and limit.holds(size_of(whole)):
        return SafeText(whole + appended)
    where = IN_PART if size_of(whole).octets > ENTRY_MAX_BYTES else KEPT
    try:
        where = where.format(handle=await keep(whole))
    except StoreError as error:
        where = NOT_KEPT.format(reason=error.message)
    limit = limit.minus(Size(CUT_MAX_CHARACTERS, CUT_MAX_CHARACTERS))
    fit = partial(render, document, max_characters=limit.characters, max_bytes=limit.octets, marker=marker)
    body = await run(fit)
    cut = f"[Shown: {len(body):,} of {len(whole):,} characters. {where}]"
    return SafeText(f"{body}\n\n{shorten(cut, CUT_MAX_CHARACTERS - 2)}{appended}")


def inbox_text(
    entries: Sequence[InboxEntry], redactor: Redactor, *, total: int | None = None
) -> tuple[SafeText, tuple[str, ...]]:
    """Return the ends to append to a result, and the ids of the watches that they are about.

    Args:
        entries: the ends, or the first of them.
        total: how many there are in all; None where `entries` are all.
    """
    shown = entries[:INBOX_MAX_ENTRIES]
    if not shown:
        return NOTHING, ()
    more = (len(entries) if total is None else total) - len(shown)
    tail = [f'+{more} more: list_watches(state="ended")'] if more else []
    # Before they are cut: half a secret is not recognised.
    texts: list[str] = [redactor.safe(entry.text) for entry in shown]
    frame = "\n".join([INBOX_HEADING, INBOX_CUT, *tail])
    fitted = _sharing(texts, INBOX_MAX_CHARACTERS - len(frame) - len(texts))
    cut = [INBOX_CUT] if fitted != texts else []
    return SafeText("\n".join([INBOX_HEADING, *fitted, *cut, *tail])), tuple(entry.watch_id for entry in shown)


def _whole(outcome: Document, redactor: Redactor, marker: str) -> tuple[Document, str]:
    """Return a document with safe texts, and the whole of it as one text."""
    document = _safe_document(outcome, redactor)
    full = document if outcome.full is None else _safe_document(outcome.full, redactor)
    return document, render(full, max_characters=sys.maxsize, max_bytes=sys.maxsize, marker=marker)


async def _here(work: Callable[[], T]) -> T:
    return work()


def _weight(document: Document) -> int:
    """Return about how many characters a document has."""
    return sum(
        sum(map(len, each.items)) if isinstance(each, ItemList) else len(each.text) for each in document.sections
    )


def _as_document(error: TpMcpError) -> Document:
    return Document(conclusion=error.message, next_step=error.remedy)


def _sharing(texts: list[str], available: int) -> list[str]:
    """Shorten texts to what is available in all: one that needs less than an equal share leaves the rest to others."""
    fitted = list(texts)
    for position, index in enumerate(sorted(range(len(texts)), key=lambda index: len(texts[index]))):
        fitted[index] = shorten(texts[index], available // (len(texts) - position))
        available -= len(fitted[index])
    return fitted


def _safe_document(document: Document, redactor: Redactor) -> Document:
    # Before the text is fitted: the placeholder may be longer than the secret was.
    safe = redactor.safe

    def section(value: Section) -> Section:
        match value:
            case Paragraph():
                return Paragraph(safe(value.text))
            case ItemList():
                items = tuple(safe(item) for item in value.items)
                return replace(value, heading=safe(value.heading), items=items, rest=safe(value.rest))
            case LogExcerpt():
                return replace(value, heading=safe(value.heading), text=safe(value.text))
            case _:
                assert_never(value)

    return Document(
        safe(document.conclusion), tuple(section(value) for value in document.sections), safe(document.next_step)
    )
