"""The tools over MCP: assembly, conversations, the inbox on every result."""
