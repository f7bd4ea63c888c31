"""A server with the tools that the conformance suite's tasks scenarios call, on this product's own extension."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult
from mcp.types import (
    INTERNAL_ERROR,
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
    TextContent,
)

from tests.server.tasks.memory import Context, MemoryTasks, Running
from tp_mcp.server.tasks.extension import Task, TasksExtension
from tp_mcp.server.tasks.task_notifications import TasksListening


def said(text: str, *, is_error: bool = False) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=is_error)


def elicit(message: str, **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"method": "elicitation/create", "params": {"mode": "form", "message": message, "requestedSchema": schema}}


async def slow_compute(running: Running, arguments: dict[str, Any]) -> CallToolResult:
    await anyio.sleep(float(arguments.get("seconds", 0)))
    return said(f"computed {arguments.get('label', '')}")


async def failing_job(running: Running, arguments: dict[str, Any]) -> CallToolResult:
    await anyio.sleep(0.2)
    return said("it failed", is_error=True)


async def protocol_error_job(running: Running, arguments: dict[str, Any]) -> CallToolResult:
    raise MCPError(INTERNAL_ERROR, "it broke")


async def confirm_delete(running: Running, arguments: dict[str, Any]) -> CallToolResult:
    answer = await running.ask(confirm=elicit("Delete it?", confirm={"type": "boolean"}))
    return said(f"deleted {arguments.get('filename')}: {answer['confirm']}")


async def multi_input(running: Running, arguments: dict[str, Any]) -> CallToolResult:
    name = {"name": {"type": "string"}}
    answers = await running.ask(first=elicit("First?", **name), second=elicit("Second?", **name))
    return said(str(answers))


WORKS = {
    "slow_compute": slow_compute,
    "failing_job": failing_job,
    "protocol_error_job": protocol_error_job,
    "confirm_delete": confirm_delete,
    "multi_input": multi_input,
}


class FixtureTasks(MemoryTasks):
    """These tools, and one that asks before it becomes a task."""

    def __init__(self) -> None:
        super().__init__(WORKS, required=frozenset({"failing_job", "test_tool_with_task"}))

    async def call(self, ctx: Context, params: CallToolRequestParams, call_next: CallNext) -> Task | HandlerResult:
        if params.name != "test_tool_with_task":
            return await super().call(ctx, params, call_next)
        answers = params.input_responses or {}
        if "user_name" not in answers:
            wanted = {"user_name": elicit("Who are you?", name={"type": "string"})}
            return InputRequiredResult.model_validate({"inputRequests": wanted, "requestState": "asked"})
        answer = answers["user_name"]
        name = answer.model_dump() if hasattr(answer, "model_dump") else answer

        async def greet(running: Running, arguments: dict[str, Any]) -> CallToolResult:
            return said(f"Hello, {name}!")

        return self.begin(greet, {})


def build() -> MCPServer[None]:
    """Return the server; its tools beyond `greet` are answered by tasks, or at once where a client takes none."""
    keeper = FixtureTasks()

    @asynccontextmanager
    async def lifespan(_: MCPServer[None]) -> AsyncIterator[None]:
        async with keeper.open():
            yield

    server: MCPServer[None] = MCPServer(
        "fixtures", lifespan=lifespan, extensions=[TasksExtension(keeper)], middleware=[TasksListening(keeper)]
    )

    @server.tool(description="Greet somebody.")
    async def greet(name: str = "World") -> CallToolResult:
        return said(f"Hello, {name}!")

    def listed(tool: str) -> None:
        async def at_once(seconds: float = 0, label: str = "", filename: str = "") -> CallToolResult:
            return said(f"{tool} {label}{filename}")

        server.add_tool(at_once, name=tool, description=f"A tool for tests: {tool}.")

    for tool in (*WORKS, "test_tool_with_task"):
        listed(tool)
    return server
