"""Which tools there are, in the order a model reads them."""

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
