"""Finding test ids."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from tp_mcp.errors import InvalidArgumentError
from tp_mcp.results.document import Document, ItemList
from tp_mcp.results.text import format_duration, nearest
from tp_mcp.tools.toolkit import Call, ToolArguments, ToolDefinition

PAGE_SIZE = 40
"""Ids in one answer: about 2,000 characters."""

GROUPS_SHOWN = 60


class ListTestcasesArguments(ToolArguments):
    """What `list_testcases` takes."""

    search: Annotated[
        str, Field(description="Only ids that contain each of these words, case ignored.", examples=["radius server"])
    ] = ""
    prefix: Annotated[
        str, Field(description="Only ids below this directory, file or class.", examples=["Tests_CLI/test_radius.py"])
    ] = ""
    cursor: Annotated[str, Field(description="Where to go on, as the answer before said.")] = ""


async def list_testcases(arguments: ListTestcasesArguments, call: Call) -> Document:
    """List test ids, or where they are when they are too many."""
    catalogue = call.services.catalogue
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
    age = f", read {format_duration(catalogue.tree_age_seconds)} ago"
    if not found:
        return Document(f"No test matches {arguments.search!r} among {len(below)}{age}.", next_step="Try fewer words.")
    where = f" below {prefix}" if prefix else ""
    if len(found) <= PAGE_SIZE or arguments.cursor:
        return _page(found, _offset(arguments.cursor, len(found)), f"{len(found)} tests{where}{age}")
    groups = _groups(found, prefix)
    return Document(
        f"{len(found)} tests{where}{age}: too many to list, so here is where they are.",
        (
            ItemList(
                heading="Where (directory, file or class), and how many",
                items=tuple(f"{group}: {count}" for group, count in groups[:GROUPS_SHOWN]),
                rest="narrow it with prefix or search",
            ),
        ),
        'Narrow it with prefix or search, or list the ids page by page with cursor="0".',
    )


def _page(found: Sequence[str], offset: int, what: str) -> Document:
    page = found[offset : offset + PAGE_SIZE]
    end = offset + len(page)
    more = end < len(found)
    shown = f"{what}; these are {offset + 1} to {end}." if more or offset else f"{what}."
    return Document(
        shown,
        (ItemList(heading="Test ids", items=tuple(page), rest="narrow it with prefix or search"),),
        f'cursor="{end}" goes on.' if more else "Pass them to run_pytest as testcase.",
    )


def _offset(cursor: str, count: int) -> int:
    if not cursor:
        return 0
    if not cursor.isdecimal() or len(cursor) > 9 or int(cursor) >= count:
        raise InvalidArgumentError(
            f"cursor is {cursor!r}, which is not one that this list gave.", remedy='Start over with cursor="0".'
        )
    return int(cursor)


def _is_below(test_id: str, prefix: str) -> bool:
    return not prefix or test_id == prefix or test_id.startswith((f"{prefix}/", f"{prefix}::", f"{prefix}["))


def _groups(found: Sequence[str], prefix: str) -> list[tuple[str, int]]:
    group = prefix
    while True:
        counts = Counter(_one_level_down(test_id, group) for test_id in found)
        if len(counts) > 1 or group in counts:
            return list(counts.items())
        # A single directory or file tells nothing: look inside it.
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
            "Find the pytest ids that run_pytest takes. Search by words, narrow by prefix, page with cursor; "
            "where there are too many, directories and files with counts are listed instead. Example: "
            '{"prefix": "Tests_CLI", "search": "radius"}'
        ),
        arguments=ListTestcasesArguments,
        run=list_testcases,
        read_only=True,
    ),
)
