"""Which tools there are, in the order a model reads them.

The default tools are few, because every conversation pays for their listing. What is rarely needed is in named
toolsets, which whoever runs the server adds.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from tp_mcp.errors import ConfigurationError
from tp_mcp.tools import (
    executions,
    hand_over,
    labs,
    listings,
    locks,
    runs,
    start_watch,
    stored_results,
    test_results,
    testcases,
    triage,
    upgrades,
    watches,
)
from tp_mcp.tools.framework.definition import ToolDefinition

Tools = tuple[ToolDefinition[Any], ...]

DEFAULT_TOOLS: Tools = (
    *labs.TOOLS,
    *upgrades.TOOLS,
    *testcases.TOOLS,
    *runs.TOOLS,
    *executions.TOOLS,
    *test_results.TOOLS,
    *triage.TOOLS,
    *watches.TOOLS,
    *start_watch.TOOLS,
    *stored_results.TOOLS,
)

TOOLSETS: Mapping[str, Tools] = {
    "labs": (*locks.TOOLS, *listings.TOOLS),
    "triage": triage.NOTE_TOOLS,
    "watches": hand_over.TOOLS,
}
"""What can be added, by name."""

ALL_TOOLS: Tools = (*DEFAULT_TOOLS, *(tool for tools in TOOLSETS.values() for tool in tools))

CHAINED_TOOLS: Mapping[str, ToolDefinition[Any]] = {
    definition.name: definition for definition in DEFAULT_TOOLS if definition.check is not None
}
"""The tools that may follow the end of a watch."""


def tools_with(names: Iterable[str], toolsets: Mapping[str, Tools] = TOOLSETS) -> Tools:
    """Return the default tools and those of named toolsets.

    Raises:
        ConfigurationError: there is no toolset of a name; says which there are.

    """
    chosen = list(dict.fromkeys(names))
    unknown = [name for name in chosen if name not in toolsets]
    if unknown:
        raise ConfigurationError(
            f"There is no toolset {', '.join(map(repr, unknown))}.",
            remedy=f"TP_MCP_TOOLSETS or --toolsets may name: {', '.join(toolsets) or 'none yet'}.",
        )
    return (*DEFAULT_TOOLS, *(tool for name in chosen for tool in toolsets[name]))
