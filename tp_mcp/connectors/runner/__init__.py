"""Execution of a connector manifest's tools: requests and answers."""

from tp_mcp.connectors.runner.answer import ToolAnswer
from tp_mcp.connectors.runner.runner import ConnectorRunner

__all__ = ["ConnectorRunner", "ToolAnswer"]
