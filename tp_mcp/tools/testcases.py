"""Test ids: find them by words, by directory, and page by page."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, JsonValue

from tp_mcp.errors import InvalidArgumentError
from tp_mcp.results.document import Document, ItemList, Paragraph, Section
from tp_mcp.results.text import Size, count_of, format_duration, nearest, size_of
from tp_mcp.tools.framework import watch_documents
from tp_mcp.tools.framework.arguments import ToolArguments
from tp_mcp.tools.framework.definition import Call, ToolDefinition
from tp_mcp.tools.framework.pagination import Cursor, offset_of

TESTCASES_TYPICAL_CHARACTERS = 5_000
"""A page of ids, whole."""

PAGE_SIZE = 40
"""Most ids in one answer: about 2,000 characters."""

PAGE_MAX = Size(4_000, 15_000)
"""Largest text of the ids in one answer; it fits into a result, so that no page is cut."""

GROUPS_SHOWN = 60


class ListTestcasesArguments(ToolArguments):
    """The arguments of `list_testcases`."""

    search: Annotated[
        str, Field(description="Words that the id must contain; case is ignored.", examples=["radius server"])
    ] = ""
    prefix: Annotated[
        str, Field(description="Directory, file or class to list.", examples=["Tests_CLI/test_radius.py"])
    ] = ""
    cursor: Cursor = ""


async def list_testcases(arguments: ListTestcasesArguments, call: Call) -> Document:
    """List test ids or, if there are too many, their directories and files."""
    catalogue = call.services.tp.catalogue
    tree = await catalogue.tests()
    prefix = arguments.prefix.strip("/")
    below = [test_id for test_id in tree.ids if _is_below(test_id, prefix)]
    if prefix and not below:
        near = nearest(prefix, tree.paths())
        raise InvalidArgumentError(
            f"prefix is {arguments.prefix!r}, and no test is below it.",
            remedy=f"Did you mean {' or '.join(near)}?" if near else "Leave it empty to see the directories.",
        )
    terms = arguments.search.casefold().split()
    found = [test_id for test_id in below if all(term in test_id.casefold() for term in terms)]
    age = f", read {format_duration(catalogue.tree_age_seconds)} ago" if catalogue.tree_age_seconds >= 1 else ""
    notes = _left_out(tree.left_out)
    if not found:
        none = f"No test matches {arguments.search!r} among {len(below)}{age}." if below else f"TP has no test{age}."
        return Document(none, notes, "Try fewer words." if below else "")
    where = f" below {prefix}" if prefix else ""
    what = f"{count_of(len(found), 'test')}{where}{age}"
    if arguments.cursor or _fits_on_a_page(found):
        return _page(found, offset_of(arguments.cursor, len(found)), what, notes, arguments)
    groups = _groups(found, prefix)
    step = f"Narrow it with prefix or search, or list the ids page by page: {_next_call(arguments, 0)}."
    conclusion = f"{what}: too many to list, so these are their places."
    full = Document(conclusion, (*notes, _places(groups)), step)
    if len(groups) <= GROUPS_SHOWN:
        return full
    most = Paragraph(f"Only the first {GROUPS_SHOWN} of {len(groups):,} places are shown.")
    return Document(conclusion, (*notes, most, _places(groups[:GROUPS_SHOWN])), step, full)


def _places(groups: Sequence[tuple[str, int]]) -> ItemList:
    return ItemList(
        heading="Places (directory, file or class) with their numbers of tests",
        items=tuple(f"{group}: {count}" for group, count in groups),
        rest="narrow it with prefix or search",
    )


def _left_out(count: int) -> tuple[Section, ...]:
    return (Paragraph(f"{count_of(count, 'entry', 'entries')} of TP's tree could not be read."),) if count else ()


def _fits_on_a_page(found: Sequence[str]) -> bool:
    return _page_end(found, 0) == len(found)


def _page_end(found: Sequence[str], offset: int) -> int:
    room = PAGE_MAX
    end = offset
    while end < min(len(found), offset + PAGE_SIZE) and (end == offset or room.holds(size_of(found[end]))):
        room = room.minus(size_of(found[end]))
        end += 1
    return end


def _page(
    found: Sequence[str], offset: int, what: str, notes: tuple[Section, ...], arguments: ListTestcasesArguments
) -> Document:
    end = _page_end(found, offset)
    more = end < len(found)
    conclusion = f"{what}; these are {offset + 1} to {end}." if more or offset else f"{what}."
    return Document(
        conclusion,
        (*notes, ItemList(heading="Test ids", items=tuple(found[offset:end]))),
        f"{_next_call(arguments, end)} shows the next page." if more else "Pass them to run_pytest as testcase.",
    )


def _next_call(arguments: ListTestcasesArguments, offset: int) -> str:
    given: dict[str, JsonValue] = {"search": arguments.search, "prefix": arguments.prefix}
    kept = {name: value for name, value in given.items() if value}
    return watch_documents.call_words("list_testcases", **kept, cursor=str(offset))


def _is_below(test_id: str, prefix: str) -> bool:
    return not prefix or test_id == prefix or test_id.startswith((f"{prefix}/", f"{prefix}::", f"{prefix}["))


def _groups(found: Sequence[str], prefix: str) -> list[tuple[str, int]]:
    group = prefix
    while True:
        counts = Counter(_one_level_down(test_id, group) for test_id in found)
        if len(counts) > 1 or group in counts:
            return list(counts.items())
        # A single directory or file gives no choice: look inside it.
        group = next(iter(counts))


def _one_level_down(test_id: str, group: str) -> str:
    rest = test_id[len(group) :]
    lead = rest[: len(rest) - len(rest.lstrip("/:"))]
    rest = rest[len(lead) :]
    ends = [at for at in (rest.find("/"), rest.find("::")) if at >= 0]
    return test_id if not ends else group + lead + rest[: min(ends)]


TOOLS = (
    ToolDefinition(
        name="list_testcases",
        title="Find test ids",
        description=(
            "Find the test ids that run_pytest takes. If there are too many to list, the result shows directories "
            'and files with their test counts. Example: {"prefix": "Tests_CLI", "search": "radius"}'
        ),
        arguments=ListTestcasesArguments,
        run=list_testcases,
        read_only=True,
        typical_characters=TESTCASES_TYPICAL_CHARACTERS,
    ),
)
