"""Running the tools of a connector manifest: what is sent, and what is made of the answer."""

from tp_mcp.connectors.runner.answer import ToolAnswer
from tp_mcp.connectors.runner.runner import ConnectorRunner

__all__ = ["ConnectorRunner", "ToolAnswer"]
