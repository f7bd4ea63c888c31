"""tp-mcp: an MCP server that starts, watches and explains test-platform jobs for a chat assistant."""

__version__ = "1.0.0"
