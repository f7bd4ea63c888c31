"""Which tools there are, in the order a model reads them."""

from collections.abc import Mapping
from typing import Any

from tp_mcp.tools import executions, labs, runs, testcases, upgrades, watches, watching
from tp_mcp.tools.toolkit import ToolDefinition

DEFAULT_TOOLS: tuple[ToolDefinition[Any], ...] = (
    *labs.TOOLS,
    *upgrades.TOOLS,
    *testcases.TOOLS,
    *runs.TOOLS,
    *executions.TOOLS,
    *watches.TOOLS,
    *watching.TOOLS,
)

CHAINED_TOOLS: Mapping[str, ToolDefinition[Any]] = {
    definition.name: definition for definition in DEFAULT_TOOLS if definition.check is not None
}
"""The tools that may follow the end of a watch."""
