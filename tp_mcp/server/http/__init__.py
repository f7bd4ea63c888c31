"""MCP over streamable HTTP: the application, its limits, and serving it until it is asked to stop."""
