"""The requests of the Tasks extension, over whoever keeps the tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcp import MCPError
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver import require_client_extension
from mcp.types import HEADER_MISMATCH, INVALID_PARAMS

from tp_mcp.server.tasks import wire
from tp_mcp.server.tasks.task_keeper import Task
from tp_mcp.server.tasks.wire import EXTENSION, PROTOCOL_VERSIONS, TaskParams, UpdateParams

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from mcp.types import CallToolRequestParams

    from tp_mcp.server.tasks.task_keeper import TaskKeeper
    from tp_mcp.server.tasks.wire import Wire

    Context = ServerRequestContext[Any, Any]

NAME_HEADER = "mcp-name"


class TasksExtension(Extension):
    """Answers tool calls with tasks, and requests about tasks."""

    identifier = EXTENSION

    def __init__(self, keeper: TaskKeeper) -> None:
        """Answer with the tasks that `keeper` makes and keeps."""
        self._keeper = keeper

    def methods(self) -> Sequence[MethodBinding]:
        """Return the requests about tasks; they exist on the 2026-07-28 protocol alone."""
        return (
            MethodBinding("tasks/get", TaskParams, self._get, PROTOCOL_VERSIONS),
            MethodBinding("tasks/update", UpdateParams, self._update, PROTOCOL_VERSIONS),
            MethodBinding("tasks/cancel", TaskParams, self._cancel, PROTOCOL_VERSIONS),
        )

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: Context, call_next: CallNext
    ) -> HandlerResult:
        """Answer with a task where the keeper makes one. A client that did not declare tasks gets none."""
        if not declares_tasks(ctx):
            if ctx.protocol_version in PROTOCOL_VERSIONS and self._keeper.requires_tasks(params.name):
                require_client_extension(ctx, EXTENSION)
            return await call_next(ctx)
        outcome = await self._keeper.call(ctx, params, call_next)
        return wire.created(outcome) if isinstance(outcome, Task) else outcome

    async def _get(self, ctx: Context, params: TaskParams) -> Wire:
        _check(ctx, params)
        task = await self._keeper.get(ctx, params.task_id)
        if task is None:
            raise _not_found()
        return {"resultType": "complete", **wire.detailed(task)}

    async def _update(self, ctx: Context, params: UpdateParams) -> Wire:
        _check(ctx, params)
        if not await self._keeper.update(ctx, params.task_id, params.input_responses):
            raise _not_found()
        return wire.acknowledged()

    async def _cancel(self, ctx: Context, params: TaskParams) -> Wire:
        _check(ctx, params)
        if not await self._keeper.cancel(ctx, params.task_id):
            raise _not_found()
        return wire.acknowledged()


def declares_tasks(ctx: Context) -> bool:
    """Return whether the client of a request takes tasks."""
    if ctx.protocol_version not in PROTOCOL_VERSIONS:
        return False
    capabilities = ctx.session.client_capabilities
    return capabilities is not None and EXTENSION in (capabilities.extensions or {})


def _check(ctx: Context, params: TaskParams) -> None:
    require_client_extension(ctx, EXTENSION)
    # Over HTTP the header is to repeat the task's id. A widespread client leaves it out, which does no harm; one that
    # names another task was meant for another request.
    headers = getattr(ctx.request, "headers", None)
    named = None if headers is None else headers.get(NAME_HEADER)
    if named is not None and named != params.task_id:
        raise MCPError(HEADER_MISMATCH, "The header Mcp-Name does not have the task's id.")


def _not_found() -> MCPError:
    return MCPError(INVALID_PARAMS, "There is no such task.")
