"""What a client sees before it calls anything: it costs tokens in every conversation, so it is kept small and exact."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from mcp.types import Tool

from tests.server.conftest import Connect
from tp_mcp.errors import ConfigurationError
from tp_mcp.server.app import INSTRUCTIONS
from tp_mcp.server.listing import LISTING_FILE, Listing, listing_text, read_listing
from tp_mcp.server.toolset import ALL_TOOLS, DEFAULT_TOOLS, TOOLSETS
from tp_mcp.tools.framework.definition import ToolDefinition

MAX_TOOLS = 15
TOKENS_OF_TODAYS_TOOLS = 3_400
"""The limit for the tools and arguments of today: it leaves room below `MAX_TOKENS` for further arguments."""

MAX_TOKENS = 4_000
CHARACTERS_PER_TOKEN = 4
UNREADABLE = frozenset({"$defs", "$ref", "additionalProperties", "title"})
"""Keywords that some clients cannot convert, or that cost tokens for nothing."""

NAMES = [definition.name for definition in DEFAULT_TOOLS]


async def listed(connect: Connect, mode: str = "auto") -> dict[str, Tool]:
    async with connect(mode=mode) as chat:
        return {tool.name: tool for tool in (await chat.client.list_tools()).tools}


def as_json(tool: Tool) -> dict[str, Any]:
    return tool.model_dump(mode="json", by_alias=True, exclude_none=True)


def test_the_listing_that_ships_is_the_one_of_the_definitions() -> None:
    assert LISTING_FILE.read_text(encoding="utf-8") == listing_text(DEFAULT_TOOLS, TOOLSETS), "run `make listing`"


async def test_a_server_lists_its_definitions_as_the_file_does(connect: Connect) -> None:
    listing = read_listing()
    shipped = (*listing.default, *(tool for tools in listing.toolsets.values() for tool in tools))
    async with connect(tools=ALL_TOOLS) as chat:
        assert (await chat.client.list_tools()).tools == list(shipped)


async def test_both_protocol_eras_list_the_same(connect: Connect) -> None:
    legacy, modern = await listed(connect, "legacy"), await listed(connect, "auto")
    assert list(legacy) == list(modern) == NAMES
    assert [as_json(tool) for tool in legacy.values()] == [as_json(tool) for tool in modern.values()]


async def test_there_are_few_tools_and_their_listing_is_small(connect: Connect) -> None:
    tools = await listed(connect)
    compact = json.dumps([as_json(tool) for tool in tools.values()], separators=(",", ":"), ensure_ascii=False)
    tokens = len(compact) / CHARACTERS_PER_TOKEN
    assert len(tools) <= MAX_TOOLS
    assert tokens <= MAX_TOKENS, f"tools/list is {tokens:.0f} tokens, and may be {MAX_TOKENS}"
    assert tokens <= TOKENS_OF_TODAYS_TOOLS, f"tools/list is {tokens:.0f} tokens of {TOKENS_OF_TODAYS_TOOLS}"


async def test_names_and_descriptions_are_what_every_client_takes(connect: Connect) -> None:
    for name, tool in (await listed(connect)).items():
        assert re.fullmatch(r"[a-z0-9_]{1,30}", name)
        assert tool.title
        assert tool.description
        assert len(tool.description) > 60, f"{name} is hardly described"
        for argument, schema in arguments_of(tool.input_schema):
            assert schema.get("description"), f"{name}.{argument} has no description"
        assert tool.output_schema is None


def arguments_of(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every argument of a schema with its own schema, those within an object too."""
    for name, argument in schema.get("properties", {}).items():
        yield name, argument
        yield from arguments_of(argument)


def parts_of(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a schema and every schema within it."""
    yield schema
    for part in (*schema.get("properties", {}).values(), *schema.get("anyOf", ())):
        yield from parts_of(part)
    if "items" in schema:
        yield from parts_of(schema["items"])


@pytest.mark.parametrize("definition", ALL_TOOLS, ids=lambda definition: definition.name)
def test_every_client_can_read_every_schema(definition: ToolDefinition[Any]) -> None:
    for part in parts_of(definition.schema()):
        assert not UNREADABLE & part.keys()
        assert part.get("type") or part.get("anyOf"), f"{part} says nothing of its type"
        assert "null" not in str(part.get("type"))


async def test_what_only_reads_is_marked_so_and_what_cannot_be_undone_too(connect: Connect) -> None:
    tools = await listed(connect)
    marks = {name: tool.annotations for name, tool in tools.items()}
    assert {name for name, mark in marks.items() if mark and mark.read_only_hint} == {
        "list_labs",
        "get_upgrade",
        "list_testcases",
        "get_execution",
        "get_test_results",
        "triage_execution",
        "list_watches",
        "wait_for_watch",
        "read_result",
    }
    assert {name for name, mark in marks.items() if mark and mark.destructive_hint} == {
        "start_upgrade",
        "run_pytest",
        "rerun_failed",
        "cancel_execution",
    }
    assert {name for name, mark in marks.items() if mark and mark.idempotent_hint} == {
        "cancel_execution",
        "cancel_watch",
    }


async def test_a_start_says_in_its_own_description_what_instructions_may_never_tell(connect: Connect) -> None:
    tools = await listed(connect)
    for name in ("start_upgrade", "run_pytest"):
        description = tools[name].description or ""
        assert "do not poll in a loop" in description
        assert "do not start it again" in description


async def test_the_instructions_are_short_and_begin_with_the_rules(connect: Connect) -> None:
    assert len(INSTRUCTIONS) <= 2_000
    first = INSTRUCTIONS[:500]
    rules = ("watch id", "Never start the same job again", "do not poll", "next result of any tool", "wait_for_watch")
    for rule in rules:
        assert rule in first, f"{rule!r} is not among the first 500 characters"
    async with connect(mode="legacy") as chat:
        assert chat.client.instructions == INSTRUCTIONS


async def test_the_instructions_name_only_tools_that_there_are() -> None:
    called = set(re.findall(r"\b([a-z]+_[a-z_]+)\b(?=[(,. ])", INSTRUCTIONS))
    known = {*NAMES, *(argument for tool in DEFAULT_TOOLS for argument in tool.arguments.model_fields)}
    assert called <= known


SOME = read_listing().default
SETS = Listing(SOME[:1], {"one": SOME[1:2], "two": SOME[2:4]})


def test_without_a_name_there_are_the_default_tools() -> None:
    assert SETS.with_toolsets(()) == SOME[:1]


def test_named_toolsets_are_added_in_the_order_they_are_named_and_once() -> None:
    assert SETS.with_toolsets(("two", "one", "two")) == (*SOME[:1], *SOME[2:4], *SOME[1:2])


def test_an_unknown_toolset_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match="There is no toolset 'three'") as refused:
        SETS.with_toolsets(("one", "three"))
    assert "one, two" in refused.value.remedy


def test_no_two_tools_have_one_name() -> None:
    assert len({tool.name for tool in ALL_TOOLS}) == len(ALL_TOOLS)
