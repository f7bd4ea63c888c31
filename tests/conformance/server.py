"""The product's own server, which also has what the conformance suite calls by name.

Conversations, delivery, listening, subscriptions, the Tasks extension and the HTTP transport are the product's; the
fixtures are added beside its tools. Run as `python -m tests.conformance.server PORT`.
"""

import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from mcp.server.context import CallNext, HandlerResult
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context as ToolContext
from mcp.server.mcpserver import MCPServer
from mcp.types import CallToolRequestParams, CallToolResult, InputRequiredResult, Resource, ResourceTemplate, Tool
from pydantic import AnyUrl

from tests.conformance.asking import add_checked, add_inline, add_longer_rounds, add_rounds
from tests.conformance.fixtures import add_contents, add_prompts, add_resources, add_tellers
from tests.server.tasks.fixture_server import WORKS, FixtureTasks, said
from tests.server.tasks.memory import Context
from tp_mcp.cli.serve_http import serve_http
from tp_mcp.clock import Clock, SystemClock
from tp_mcp.composition.open_services import open_configured
from tp_mcp.composition.serve_options import HttpOptions, ServeOptions
from tp_mcp.server.app import TpServer
from tp_mcp.server.backend import Backend
from tp_mcp.server.identity import Identity
from tp_mcp.server.tasks.extension import Task, TaskKeeper
from tp_mcp.server.toolset import DEFAULT_TOOLS
from tp_mcp.tools.framework.services import Services

TASK_TOOLS = (*WORKS, "test_tool_with_task")
FIXTURE_SCHEME = "test://"


class TasksBesideFixtures(FixtureTasks):
    """The product's tasks, and those of the fixtures."""

    def __init__(self, product: TaskKeeper) -> None:
        super().__init__()
        self._product = product

    def requires_tasks(self, tool: str) -> bool:
        return super().requires_tasks(tool) or self._product.requires_tasks(tool)

    async def call(self, ctx: Context, params: CallToolRequestParams, call_next: CallNext) -> Task | HandlerResult:
        if params.name in TASK_TOOLS:
            return await super().call(ctx, params, call_next)
        return await self._product.call(ctx, params, call_next)

    async def look(self, ctx: Context, task_id: str) -> Task | None:
        return await super().look(ctx, task_id) or await self._product.look(ctx, task_id)

    async def get(self, ctx: Context, task_id: str) -> Task | None:
        return await super().look(ctx, task_id) or await self._product.get(ctx, task_id)

    async def update(self, ctx: Context, task_id: str, responses: Mapping[str, Any]) -> bool:
        return await super().update(ctx, task_id, responses) or await self._product.update(ctx, task_id, responses)

    async def cancel(self, ctx: Context, task_id: str) -> bool:
        return await super().cancel(ctx, task_id) or await self._product.cancel(ctx, task_id)


class ConformanceServer(TpServer):
    """The product's server, with fixtures."""

    def __init__(self, backend: Backend, identity: Identity, clock: Clock) -> None:
        super().__init__(backend, identity, clock, lambda: DEFAULT_TOOLS)
        for add in ADDS:
            add(self)
        self._fixtures = {tool.name for tool in self._tool_manager.list_tools()}

    def _task_keeper(self) -> TaskKeeper:
        keeper = TasksBesideFixtures(super()._task_keeper())
        self._backend.accompany(lambda _: keeper.open())
        return keeper

    async def list_tools(self) -> list[Tool]:
        return [*await super().list_tools(), *await MCPServer.list_tools(self)]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: ToolContext[None, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        if name in self._fixtures:
            return await MCPServer.call_tool(self, name, arguments, context)
        return await super().call_tool(name, arguments, context)

    async def list_resources(self) -> list[Resource]:
        return [*await super().list_resources(), *await MCPServer.list_resources(self)]

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        return [*await super().list_resource_templates(), *await MCPServer.list_resource_templates(self)]

    async def read_resource(
        self, uri: AnyUrl | str, context: ToolContext[None, Any] | None = None
    ) -> Iterable[ReadResourceContents]:
        if str(uri).startswith(FIXTURE_SCHEME):
            read = await MCPServer.read_resource(self, uri, context)
            assert not isinstance(read, InputRequiredResult)
            return read
        return await super().read_resource(uri, context)


def _add_task_tools(server: MCPServer[Any]) -> None:
    @server.tool(description="Greets somebody.")
    async def greet(name: str = "World") -> CallToolResult:
        return said(f"Hello, {name}!")

    def listed(tool: str) -> None:
        # What a client without tasks gets.
        async def at_once(seconds: float = 0, label: str = "", filename: str = "") -> CallToolResult:
            return said(f"{tool} {label}{filename}")

        server.add_tool(at_once, name=tool, description=f"A tool for tests: {tool}.")

    for tool in TASK_TOOLS:
        listed(tool)


ADDS = (
    add_contents,
    add_tellers,
    add_resources,
    add_prompts,
    add_rounds,
    add_longer_rounds,
    add_checked,
    add_inline,
    _add_task_tools,
)


def main(port: int) -> None:
    """Serve until a signal asks to end."""
    options = ServeOptions(simulator=True, http=HttpOptions(port=port, no_auth=True))
    clock = SystemClock()

    @asynccontextmanager
    async def opened() -> AsyncIterator[Services]:
        async with open_configured(options, clock) as services:
            yield services

    backend = Backend(opened, clock)
    serve_http(options, backend, lambda identity, *_: ConformanceServer(backend, identity, clock))


if __name__ == "__main__":
    main(int(sys.argv[1]))
