"""The floor of the start-up benchmark: a server of one tool, written and started as the SDK's own examples do."""

from mcp.server.mcpserver import MCPServer

server = MCPServer("bare")


@server.tool()
def add(one: int, other: int) -> int:
    """Add two numbers."""
    return one + other


if __name__ == "__main__":
    server.run("stdio")
