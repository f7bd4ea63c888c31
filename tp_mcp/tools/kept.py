"""Reading what did not fit into a result."""

import re
import time
from collections.abc import Callable
from functools import partial
from typing import Annotated

import anyio.to_thread
from pydantic import Field

from tp_mcp.connectors.pattern import finder, pattern_problem
from tp_mcp.errors import InvalidArgumentError
from tp_mcp.results import reading
from tp_mcp.results.document import Document, LogExcerpt, Paragraph
from tp_mcp.results.shelf import Kept
from tp_mcp.results.text import Size, count_of
from tp_mcp.tools import telling
from tp_mcp.tools.toolkit import Call, ToolArguments, ToolDefinition

READ_TOOL = "read_result"
READ_TYPICAL_CHARACTERS = 8_000
"""Whoever reads what was cut wants more than a first look."""

PAGE_MAX = Size(6_000, 12_000)
"""Most text of one page: with what is said around it, it is never cut again."""

SEARCH_SECONDS = 2.0
"""How long one search may take; what is left of the text then is the next call's."""

CONTEXT = 2
MAX_CONTEXT = 20
_CURSOR = re.compile(r"[0-9]{1,12}")


class ReadResultArguments(ToolArguments):
    """What `read_result` takes."""

    handle: Annotated[str, Field(description="As told.")]
    search: Annotated[str, Field(description="Regular expression (RE2), per line.")] = ""
    context: Annotated[int, Field(description="Lines around each.", ge=0, le=MAX_CONTEXT)] = CONTEXT
    head: Annotated[int, Field(description="Only so many first lines.", ge=0)] = 0
    tail: Annotated[int, Field(description="Only the last lines.", ge=0)] = 0
    cursor: Annotated[str, Field(description="As the answer before said.")] = ""


async def read_result(arguments: ReadResultArguments, call: Call) -> Document:
    """Show a part of what was kept."""
    ways = [name for name in ("search", "head", "tail") if getattr(arguments, name)]
    if len(ways) > 1 or (arguments.cursor and ways not in ([], ["search"])):
        raise InvalidArgumentError(
            f"{' and '.join([*ways, *(['cursor'] if arguments.cursor else [])])} cannot be combined.",
            remedy="Give one of search, head and tail; cursor goes with search or alone.",
        )
    if arguments.search and (problem := pattern_problem(arguments.search)) is not None:
        raise InvalidArgumentError(f"search cannot be used: {problem}.")
    kept = await call.services.shelf.get(call.owner.principal, arguments.handle)
    begin = _begin(arguments.cursor, kept)
    # On a thread: a kept text may have megabytes, and watches go on meanwhile.
    if arguments.search:
        return await anyio.to_thread.run_sync(partial(_searched, arguments, kept, begin, _until(SEARCH_SECONDS)))
    return await anyio.to_thread.run_sync(partial(_page, arguments, kept, begin))


def _page(arguments: ReadResultArguments, kept: Kept, begin: int) -> Document:
    if arguments.head:
        shown = reading.head(kept.text, arguments.head, PAGE_MAX)
    elif arguments.tail:
        shown = reading.tail(kept.text, arguments.tail, PAGE_MAX)
    else:
        shown = reading.page(kept.text, begin, PAGE_MAX)
    total = len(kept.text)
    where = (
        f"Lines {shown.first_line:,} to {shown.last_line:,} of {shown.lines:,} "
        f"(characters {shown.begin:,} to {shown.end:,} of {total:,}) of {kept.what}."
    )
    if shown.end < total:
        step = f"{_call(arguments, shown.end)} goes on."
    else:
        step = "That is its end." if shown.begin else "That is all of it."
    return Document(where, (_excerpt(shown.text),), step)


def _searched(arguments: ReadResultArguments, kept: Kept, begin: int, goes_on: Callable[[], bool]) -> Document:
    found = reading.search(
        kept.text, begin, finder(arguments.search), PAGE_MAX, context=arguments.context, goes_on=goes_on
    )
    last = found.first_line + found.searched - 1
    where = f"in lines {found.first_line:,} to {last:,} of {kept.what}"
    matching = count_of(found.count, "line matches", "lines match") if found.count else "No line matches"
    step = f"{_call(arguments, found.end)} goes on." if found.end is not None else "Everything was searched."
    sections = (_excerpt(found.text),) if found.text else ()
    return Document(f"{matching} {arguments.search!r} {where}.", sections, step)


def _begin(cursor: str, kept: Kept) -> int:
    if not cursor:
        return 0
    if not _CURSOR.fullmatch(cursor) or int(cursor) >= len(kept.text):
        raise InvalidArgumentError(
            f"cursor is {cursor!r}, which is not one that this handle gave.", remedy="Leave it out to begin anew."
        )
    return int(cursor)


def _excerpt(text: str) -> LogExcerpt | Paragraph:
    # The line break before the fence's end stands for the last one of the text.
    body = text.removesuffix("\n")
    return LogExcerpt("", body, source="what was kept", exact=True) if text else Paragraph("It is empty.")


def _call(arguments: ReadResultArguments, begin: int) -> str:
    if not arguments.search:
        return telling.call_words(READ_TOOL, handle=arguments.handle, cursor=str(begin))
    return telling.call_words(
        READ_TOOL,
        handle=arguments.handle,
        search=arguments.search,
        **({} if arguments.context == CONTEXT else {"context": arguments.context}),
        cursor=str(begin),
    )


def _until(seconds: float) -> Callable[[], bool]:
    # The computer's time, not the job's: it bounds work, and no clock of a test stands still for it.
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end


TOOLS = (
    ToolDefinition(
        name=READ_TOOL,
        title="Read what was cut",
        description=(
            "Read what did not fit into a result: in pages, or by search, head or tail. Example: "
            '{"handle": "r_...", "search": "(?i)error"}'
        ),
        arguments=ReadResultArguments,
        run=read_result,
        read_only=True,
        typical_characters=READ_TYPICAL_CHARACTERS,
    ),
)
