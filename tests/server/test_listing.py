"""What a client sees before it calls anything: it costs tokens in every conversation, so it is kept small and exact."""

import json
import re
from pathlib import Path
from typing import Any

from mcp.types import Tool
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension
from syrupy.location import PyTestLocation
from syrupy.types import SnapshotIndex

from tests.server.conftest import Connect
from tp_mcp.server.app import INSTRUCTIONS
from tp_mcp.server.toolset import ALL_TOOLS, DEFAULT_TOOLS

MAX_TOOLS = 15
MAX_TOKENS = 4_000
CHARACTERS_PER_TOKEN = 4
SNAPSHOTS = Path(__file__).parents[1] / "snapshots"
NAMES = [definition.name for definition in DEFAULT_TOOLS]


class ToolSnapshots(JSONSnapshotExtension):
    """One JSON file per tool, below tests/snapshots."""

    @classmethod
    def dirname(cls, *, test_location: PyTestLocation) -> str:
        del test_location
        return str(SNAPSHOTS)

    @classmethod
    def get_file_basename(cls, *, test_location: PyTestLocation, index: SnapshotIndex) -> str:
        del test_location
        return str(index)

    @classmethod
    def matches_test_location(cls, *, test_location: PyTestLocation, snapshot_location: str) -> bool:
        del test_location
        return Path(snapshot_location).parent == SNAPSHOTS


async def listed(connect: Connect, mode: str = "auto") -> dict[str, Tool]:
    async with connect(mode=mode) as chat:
        return {tool.name: tool for tool in (await chat.client.list_tools()).tools}


def as_json(tool: Tool) -> dict[str, Any]:
    return tool.model_dump(mode="json", by_alias=True, exclude_none=True)


async def test_every_tool_is_listed_as_it_was_settled(connect: Connect, snapshot: SnapshotAssertion) -> None:
    async with connect(tools=ALL_TOOLS) as chat:
        tools = (await chat.client.list_tools()).tools
    for name, tool in {tool.name: tool for tool in tools}.items():
        assert as_json(tool) == snapshot(name=name, extension_class=ToolSnapshots)


def test_there_is_a_snapshot_of_every_tool_and_of_nothing_else() -> None:
    assert {path.stem for path in SNAPSHOTS.iterdir()} == {tool.name for tool in ALL_TOOLS}


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


async def test_names_and_descriptions_are_what_every_client_takes(connect: Connect) -> None:
    for name, tool in (await listed(connect)).items():
        assert re.fullmatch(r"[a-z0-9_]{1,30}", name)
        assert tool.title
        assert tool.description
        assert len(tool.description) > 60, f"{name} is hardly described"
        assert tool.input_schema["additionalProperties"] is False
        for argument, schema in tool.input_schema["properties"].items():
            assert schema.get("description"), f"{name}.{argument} has no description"
        assert tool.output_schema is None


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
