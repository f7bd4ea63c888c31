"""A FastMCP client with its tasks package, as a process of its own: starts an upgrade and prints what it gets.

Its arguments are the command of the server. It prints the task's first status, the result of a call whose task FastMCP
resolves by itself, and that of the task that it was handed, with a line of `===` between them.
"""

import os
import re
import sys

import anyio
from fastmcp import Client
from fastmcp.client.client import CallToolResult
from fastmcp.client.transports import StdioTransport
from fastmcp_tasks import call_tool_task
from mcp.types import TextContent

UPGRADE = {"testbed": "AT16_Combined_FSW", "mode": "build", "build_number": "6957"}


async def main(*server: str) -> None:
    command, *arguments = server
    async with Client(StdioTransport(command, arguments, env=dict(os.environ))) as client:
        task = await call_tool_task(client, "start_upgrade", UPGRADE)
        status = await task.status()
        found = re.search(r"w_\w{8}", status.status_message or "")
        assert found is not None, status
        transparent = await client.call_tool("wait_for_watch", {"watch_id": found[0]})
        explicit = await task.result()
    sys.stdout.write("\n===\n".join([f"{status.status} {status.status_message}", text(transparent), text(explicit)]))


def text(result: CallToolResult) -> str:
    [content] = result.content
    assert isinstance(content, TextContent)
    return content.text


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
