"""Reads stored results and kept logs."""

import re
import time
from collections.abc import Callable
from functools import partial
from typing import Annotated

import anyio.to_thread
from pydantic import Field, JsonValue

from tp_mcp.connectors.pattern import finder, pattern_problem
from tp_mcp.errors import InvalidArgumentError
from tp_mcp.jobs.pytest_run.execution_rule import execution_job
from tp_mcp.jobs.tp_reader import execution_of
from tp_mcp.results import text_pages
from tp_mcp.results.document import Document, LogExcerpt, Paragraph
from tp_mcp.results.stored_results import StoredResult, no_such_result
from tp_mcp.results.text import Size, count_of
from tp_mcp.tools.framework import watch_documents
from tp_mcp.tools.framework.arguments import ToolArguments
from tp_mcp.tools.framework.definition import Call, ToolDefinition
from tp_mcp.tools.framework.pagination import Cursor
from tp_mcp.tools.framework.services import Services
from tp_mcp.watch.model.watch import Owner

READ_TOOL = "read_result"
READ_TYPICAL_CHARACTERS = 8_000
"""A reader of a stored result wants more than a first look."""

PAGE_MAX = Size(6_000, 12_000)
"""Largest page: with the sentences around it, it is never cut again."""

SEARCH_SECONDS = 2.0
"""How long one search may take; the next call continues it."""

CONTEXT = 2
MAX_CONTEXT = 20
_CURSOR = re.compile(r"([0-9]{1,12})(?:-([0-9]{1,6}))?")


class ReadResultArguments(ToolArguments):
    """Arguments of `read_result`."""

    handle: Annotated[str, Field(description="Id of the stored result, or log-<exec_id>.")]
    search: Annotated[str, Field(description="Regular expression (RE2) to find in each line.")] = ""
    context: Annotated[int, Field(description="Lines to show around each match.", ge=0, le=MAX_CONTEXT)] = CONTEXT
    head: Annotated[int, Field(description="Number of first lines to show.", ge=0)] = 0
    tail: Annotated[int, Field(description="Number of last lines to show.", ge=0)] = 0
    cursor: Cursor = ""


async def read_result(arguments: ReadResultArguments, call: Call) -> Document:
    """Show a part of a stored result."""
    ways = [name for name in ("search", "head", "tail") if getattr(arguments, name)]
    if len(ways) > 1 or (arguments.cursor and ways not in ([], ["search"])):
        raise InvalidArgumentError(
            f"{' and '.join([*ways, *(['cursor'] if arguments.cursor else [])])} cannot be combined.",
            remedy="Give one of search, head and tail; cursor goes with search or alone.",
        )
    if arguments.search and (problem := pattern_problem(arguments.search)) is not None:
        raise InvalidArgumentError(f"search cannot be used: {problem}.")
    kept = await kept_under(arguments.handle, call.owner, call.services)
    begin = _begin(arguments.cursor, kept)
    # On a thread: the text may have megabytes, and polls must not wait for it.
    if arguments.search:
        return await anyio.to_thread.run_sync(partial(_searched, arguments, kept, begin, _until(SEARCH_SECONDS)))
    return await anyio.to_thread.run_sync(partial(_page, arguments, kept, begin))


async def kept_under(handle: str, owner: Owner, services: Services) -> StoredResult:
    """Return the stored result or the log that an owner may read under an id.

    Raises:
        InvalidArgumentError: there is none, or it is another principal's.
    """
    exec_id = execution_of(handle)
    if exec_id is None:
        return await services.results.stored.get(owner.principal, handle)
    log = await services.results.logs.get(exec_id) if await _may_read(exec_id, owner, services) else None
    if log is None:
        raise no_such_result(handle)
    lost = [f"{log.missing:,} never shown" if log.missing else "", f"{log.dropped:,} not kept" if log.dropped else ""]
    words = "".join(f", {each}" for each in lost if each)
    return StoredResult(f"the log of execution {exec_id}, {log.size:,} bytes seen{words}", log.text, log.generation)


async def _may_read(exec_id: int, owner: Owner, services: Services) -> bool:
    """Return whether a user has watched an execution, or read its log."""
    if await services.results.logs.admits(exec_id, owner.principal):
        return True
    job = execution_job(exec_id)
    watches = await services.watches.registry.list(owner, all_conversations=True, about=job)
    return any(watch.job == job for watch in watches)


def first_page(handle: str, kept: StoredResult) -> Document:
    """Return the first page of a stored result."""
    return _page(ReadResultArguments(handle=handle), kept, 0)


def _page(arguments: ReadResultArguments, kept: StoredResult, begin: int) -> Document:
    if arguments.head:
        shown = text_pages.head(kept.text, arguments.head, PAGE_MAX)
    elif arguments.tail:
        shown = text_pages.tail(kept.text, arguments.tail, PAGE_MAX)
    else:
        shown = text_pages.page(kept.text, begin, PAGE_MAX)
    total = len(kept.text)
    where = (
        f"Lines {shown.first_line:,} to {shown.last_line:,} of {shown.lines:,} "
        f"(characters {shown.begin:,} to {shown.end:,} of {total:,}) of {kept.what}."
    )
    if shown.end < total:
        step = f"{_call(arguments, kept, shown.end)} shows the next page."
    elif shown.begin and arguments.tail:
        before = max(shown.begin - PAGE_MAX.characters, 0)
        step = f"That is its end; {_call(arguments, kept, before)} shows what comes before."
    else:
        step = "That is its end." if shown.begin else "That is all of it."
    return Document(where, (_excerpt(shown.text),), step)


def _searched(arguments: ReadResultArguments, kept: StoredResult, begin: int, goes_on: Callable[[], bool]) -> Document:
    found = text_pages.search(
        kept.text, begin, finder(arguments.search), PAGE_MAX, context=arguments.context, goes_on=goes_on
    )
    last = found.first_line + found.searched - 1
    where = f"in lines {found.first_line:,} to {last:,} of {kept.what}"
    matching = count_of(found.count, "line matches", "lines match") if found.count else "No line matches"
    step = (
        f"{_call(arguments, kept, found.end)} continues the search."
        if found.end is not None
        else "Everything was searched."
    )
    sections = (_excerpt(found.text),) if found.text else ()
    return Document(f"{matching} {arguments.search!r} {where}.", sections, step)


def _begin(cursor: str, kept: StoredResult) -> int:
    if not cursor:
        return 0
    given = _CURSOR.fullmatch(cursor)
    if given is None or int(given[1]) >= len(kept.text) or int(given[2] or 0) != kept.version:
        raise InvalidArgumentError(
            f"cursor is {cursor!r}, which does not fit this result now.",
            remedy="Leave it out to start over.",
        )
    return int(given[1])


def _excerpt(text: str) -> LogExcerpt | Paragraph:
    # The line break before the end of the fence is the last one of the text.
    body = text.removesuffix("\n")
    return LogExcerpt("", body, source="a stored result", exact=True) if text else Paragraph("It is empty.")


def _call(arguments: ReadResultArguments, kept: StoredResult, begin: int) -> str:
    cursor = f"{begin}-{kept.version}" if kept.version else str(begin)
    search: dict[str, JsonValue] = {"search": arguments.search} if arguments.search else {}
    if arguments.search and arguments.context != CONTEXT:
        search["context"] = arguments.context
    return watch_documents.call_words(READ_TOOL, handle=arguments.handle, **search, cursor=cursor)


def _until(seconds: float) -> Callable[[], bool]:
    # The computer's time, not the injected clock: it bounds work.
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end


TOOLS = (
    ToolDefinition(
        name=READ_TOOL,
        title="Read a stored result",
        description=(
            "Read a stored result (the whole of a result that was cut) or the log of a run: page by page, or by "
            'search, head or tail. Example: {"handle": "r_v109ds8t6mcg7nv6", "search": "(?i)error"}'
        ),
        arguments=ReadResultArguments,
        run=read_result,
        read_only=True,
        typical_characters=READ_TYPICAL_CHARACTERS,
    ),
)
