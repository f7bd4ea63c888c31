"""The definitions of all tools, in the order in which they are listed.

The default tools are few, because every conversation pays for their listing. Tools that are rarely needed are in named
toolsets, which the operator can add.
"""

from collections.abc import Mapping
from typing import Any

from tp_mcp.tools import (
    executions,
    labs,
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
    "labs": (*labs.MORE_TOOLS, *executions.MORE_TOOLS),
    "triage": triage.MORE_TOOLS,
    "watches": watches.MORE_TOOLS,
}
"""Tools that can be added, by the name of their set."""

ALL_TOOLS: Tools = (*DEFAULT_TOOLS, *(tool for tools in TOOLSETS.values() for tool in tools))

CHAINED_TOOLS: Mapping[str, ToolDefinition[Any]] = {
    definition.name: definition for definition in DEFAULT_TOOLS if definition.check is not None
}
"""The tools that may follow the end of a watch."""
