"""The tools as clients see them, kept as a file that ships with the package.

A client asks for the listing right after its first request. Reading it from the file takes a millisecond; loading the
tools and making their schemas takes a quarter of a second. `make listing` writes the file from the definitions, and a
test checks that it is current.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp.types import Tool, ToolAnnotations

from tp_mcp.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tp_mcp.tools.framework.definition import ToolDefinition

Tools = tuple[Tool, ...]

LISTING_FILE = Path(__file__).with_name("listing.json")
DEFAULT = "default"
TOOLSETS = "toolsets"


@dataclass(frozen=True, slots=True)
class Listing:
    """All tools, in the order in which they are listed.

    Attributes:
        default: the tools that are offered unless the operator removes them.
        toolsets: further tools that the operator can add, by the name of their set.
    """

    default: Tools
    toolsets: Mapping[str, Tools]

    def with_toolsets(self, names: Iterable[str]) -> Tools:
        """Return the default tools and those of the named toolsets; raise ConfigurationError for an unknown one."""
        chosen = list(dict.fromkeys(names))
        unknown = [name for name in chosen if name not in self.toolsets]
        if unknown:
            raise ConfigurationError(
                f"There is no toolset {', '.join(map(repr, unknown))}.",
                remedy=f"Toolsets for TP_MCP_TOOLSETS and --toolsets: {', '.join(self.toolsets)}.",
            )
        return (*self.default, *(tool for name in chosen for tool in self.toolsets[name]))


def read_listing() -> Listing:
    """Return the listing that ships with the package."""
    stored = json.loads(LISTING_FILE.read_text(encoding="utf-8"))
    return Listing(_tools(stored[DEFAULT]), {name: _tools(tools) for name, tools in stored[TOOLSETS].items()})


def listing_text(default: Iterable[ToolDefinition[Any]], toolsets: Mapping[str, Iterable[ToolDefinition[Any]]]) -> str:
    """Return the text of the listing's file for some definitions."""
    stored = {DEFAULT: _wire(default), TOOLSETS: {name: _wire(tools) for name, tools in toolsets.items()}}
    return json.dumps(stored, indent=1, ensure_ascii=False) + "\n"


def listed(definition: ToolDefinition[Any]) -> Tool:
    """Return a tool as it is listed."""
    return Tool(
        name=definition.name,
        title=definition.title,
        description=definition.description,
        input_schema=definition.schema(),
        annotations=ToolAnnotations(
            read_only_hint=definition.read_only,
            destructive_hint=None if definition.read_only else definition.destructive,
            # False is the protocol's own default.
            idempotent_hint=definition.idempotent or None,
            open_world_hint=False,
        ),
    )


def changes_tp(tool: Tool) -> bool:
    """Return whether a listed tool changes something on TP."""
    return tool.annotations is not None and bool(tool.annotations.destructive_hint)


def _tools(stored: Iterable[Mapping[str, Any]]) -> Tools:
    return tuple(Tool.model_validate(tool) for tool in stored)


def _wire(definitions: Iterable[ToolDefinition[Any]]) -> list[dict[str, Any]]:
    return [listed(each).model_dump(mode="json", by_alias=True, exclude_none=True) for each in definitions]
