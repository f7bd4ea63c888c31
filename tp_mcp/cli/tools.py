"""`tp-mcp tools`: the tools and the size of their listing."""

import json
from typing import Any

from mcp.types import ListToolsResult

from tp_mcp.cli.terminal import say
from tp_mcp.server.listing import read_listing
from tp_mcp.server.toolset import DEFAULT_TOOLS, TOOLSETS, Tools
from tp_mcp.tools.framework.definition import ToolDefinition

CHARACTERS_PER_TOKEN = 4
MAX_TOOLS = 15
MAX_TOKENS = 4_000


def listing_tokens() -> int:
    """Return the size of `tools/list` in tokens: characters of compact JSON by four."""
    result = ListToolsResult(tools=list(read_listing().default))
    compact = json.dumps(
        result.model_dump(mode="json", by_alias=True, exclude_none=True)["tools"],
        separators=(",", ":"),
        ensure_ascii=False,
    )
    return -(-len(compact) // CHARACTERS_PER_TOKEN)


def tool_table() -> str:
    """Return the tools as a Markdown table, and one for each toolset."""
    tables = [_table(DEFAULT_TOOLS)]
    tables += [f"With `--toolsets {name}`:\n\n{_table(tools)}" for name, tools in TOOLSETS.items()]
    return "\n\n".join(tables)


def print_tools(*, markdown: bool) -> None:
    """Print the table for the documentation, or the tools with the size of their listing."""
    say(tool_table())
    if not markdown:
        say(f"{len(DEFAULT_TOOLS)} tools of at most {MAX_TOOLS}")
        say(f"{listing_tokens()} tokens of at most {MAX_TOKENS}")


def _table(tools: Tools) -> str:
    return "\n".join(["| tool | what it does | its arguments | effect |", "|---|---|---|---|", *map(_row, tools)])


def _row(definition: ToolDefinition[Any]) -> str:
    arguments = ", ".join(f"`{name}`" for name in definition.arguments.model_fields)
    effect = _effect(definition.read_only, definition.destructive)
    return f"| `{definition.name}` | {definition.title} | {arguments} | {effect} |"


def _effect(read_only: bool, destructive: bool) -> str:
    if read_only:
        return "reads"
    return "changes TP" if destructive else "changes this server"
