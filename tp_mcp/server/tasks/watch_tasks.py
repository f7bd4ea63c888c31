"""Tasks over watches: kept in the store, so that they survive the process and can be asked for from another."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp.types import INTERNAL_ERROR

from tp_mcp.errors import StoreError, TpMcpError
from tp_mcp.server.tasks.extension import Changed, Task

if TYPE_CHECKING:
    # Only named here: importing them is what has to come after the first answer.
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

    from mcp.server.context import CallNext, HandlerResult
    from mcp.types import CallToolRequestParams

    from tp_mcp.server.backend import Backend
    from tp_mcp.server.tool_call import BeginTask
    from tp_mcp.tools.framework.definition import Call, ToolDefinition
    from tp_mcp.tools.framework.services import Services
    from tp_mcp.watch.delivery.tasks import WatchTask
    from tp_mcp.watch.model.watch import Owner, Watch

    Context = ServerRequestContext[Any, Any]


@dataclass(kw_only=True)
class TaskContext(ServerRequestContext[Any, Any]):
    """The context of a call that may become a task; `begin_task` returns whether one was created for its wait."""

    begin_task: BeginTask


def begins_task(ctx: Context) -> BeginTask | None:
    """Return the function that begins a task for a call; None if its client takes no tasks."""
    return ctx.begin_task if isinstance(ctx, TaskContext) else None


class WatchTasks:
    """Makes tasks of calls that start or await something, and keeps them with the watches."""

    def __init__(
        self,
        backend: Backend,
        owner_of: Callable[[Context], Owner],
        definitions: Callable[[], Mapping[str, ToolDefinition[Any]]],
    ) -> None:
        self._backend = backend
        self._owner_of = owner_of
        self._definitions = definitions
        self._followed: set[Changed] = set()

    def requires_tasks(self, tool: str) -> bool:  # noqa: ARG002 -- none does
        """Return False: every tool can be called by every client."""
        return False

    async def call(self, ctx: Context, params: CallToolRequestParams, call_next: CallNext) -> Task | HandlerResult:
        """Make the call without blocking. Return a task for its wait, or the result if there is nothing to wait for."""
        definition = self._definitions().get(params.name)
        if definition is None or not definition.awaits:
            return await call_next(ctx)
        from tp_mcp.server.tasks.task_results import shown_task  # noqa: PLC0415 -- after the first answer

        begun: list[Task] = []

        async def begin(call: Call) -> bool:
            awaited = call.awaits[-1] if call.awaits else None
            try:
                task = None if awaited is None else await call.services.watches.tasks.begin(call.owner, awaited)
                if awaited is not None and task is not None:
                    # From what is at hand: a start that was sent must not be answered with an error of the store.
                    begun.append(shown_task(task, awaited.watches, call.services))
            except StoreError:
                # The job is watched, and its end comes through the inbox: the plain result says so.
                return False
            return bool(begun)

        given = {field.name: getattr(ctx, field.name) for field in fields(ctx)}
        result = await call_next(TaskContext(**given, begin_task=begin))
        return begun[0] if begun else result

    async def get(self, ctx: Context, task_id: str) -> Task | None:
        """Return a task. Returning a completed one is a showing of the ends in its result."""
        services = await self._services(ctx)
        task = await self._found(ctx, task_id, services)
        if task is None:
            return None
        if task.reported:
            await self._showing(task, services)
        return await self._shown(task, services)

    async def look(self, ctx: Context, task_id: str) -> Task | None:
        """Return a task without counting it as shown."""
        services = await self._services(ctx)
        task = await self._found(ctx, task_id, services)
        return None if task is None else await self._shown(task, services)

    async def update(self, ctx: Context, task_id: str, responses: Mapping[str, Any], /) -> bool:  # noqa: ARG002
        """Ignore answers: every question is asked before the task is created."""
        services = await self._services(ctx)
        return await self._found(ctx, task_id, services) is not None

    async def cancel(self, ctx: Context, task_id: str) -> bool:
        """End a task; its watches and their jobs go on."""
        from tp_mcp.server.tasks.task_results import cancelled_text  # noqa: PLC0415 -- after the first answer
        from tp_mcp.watch.delivery.tasks import TaskState  # noqa: PLC0415

        services = await self._services(ctx)
        task = await self._found(ctx, task_id, services)
        if task is None:
            return False
        with _said_as_error():
            watches = await services.watches.tasks.watches(task)
            await services.watches.tasks.end(task, TaskState.CANCELLED, cancelled_text(watches))
        for changed in self._followed:
            changed.tell(task_id)
        return True

    @asynccontextmanager
    async def following(self, ctx: Context, task_ids: Sequence[str]) -> AsyncIterator[Changed]:
        """Tell which of some tasks may have changed, whichever process their watches are polled by."""
        services = await self._services(ctx)
        tasks_of: dict[str, list[str]] = {}
        for task_id in task_ids:
            task = await self._found(ctx, task_id, services)
            for watch_id in () if task is None else task.watch_ids:
                tasks_of.setdefault(watch_id, []).append(task_id)
        changed = Changed()

        def noticed(watch: Watch) -> None:
            for task_id in tasks_of.get(watch.id, ()):
                changed.tell(task_id)

        stop = services.watches.feed.listen(noticed, tasks_of.keys)
        self._followed.add(changed)
        try:
            yield changed
        finally:
            self._followed.discard(changed)
            stop()

    async def _services(self, ctx: Context) -> Services:
        from tp_mcp.server.tool_call import passed_token  # noqa: PLC0415 -- after the first answer

        with _said_as_error():
            services = await self._backend.services()
        return await services.for_principal(self._owner_of(ctx).principal, passed_token(ctx))

    async def _found(self, ctx: Context, task_id: str, services: Services) -> WatchTask | None:
        """Return a task of the requester, completed if its watches have ended."""
        from tp_mcp.server.tasks.task_results import completed  # noqa: PLC0415 -- after the first answer
        from tp_mcp.watch.delivery.tasks import TaskState, is_over  # noqa: PLC0415

        with _said_as_error():
            task = await services.watches.tasks.get(task_id, self._owner_of(ctx))
            if task is None or task.state is not TaskState.WORKING:
                return task
            watches = await services.watches.tasks.watches(task)
            if not is_over(task, watches):
                return task
            result = await completed(task, watches, services)
            return await services.watches.tasks.end(
                task, TaskState.COMPLETED, result.text, is_error=result.is_error, reported=result.reported
            )

    async def _shown(self, task: WatchTask, services: Services) -> Task:
        from tp_mcp.server.tasks.task_results import shown_task  # noqa: PLC0415 -- after the first answer

        with _said_as_error():
            return shown_task(task, await services.watches.tasks.watches(task), services)

    async def _showing(self, task: WatchTask, services: Services) -> None:
        from tp_mcp.watch.delivery.delivery_log import Channel  # noqa: PLC0415 -- after the first answer
        from tp_mcp.watch.delivery.inbox import Visit  # noqa: PLC0415

        services.watches.inbox.handed_over(Visit(task.owner), task.reported)
        for watch_id in task.reported:
            await services.watches.deliveries.record(watch_id, Channel.TASK, "asked for")


@contextmanager
def _said_as_error() -> Iterator[None]:
    """Turn an error of ours into one of the protocol."""
    try:
        yield
    except TpMcpError as error:
        raise MCPError(INTERNAL_ERROR, str(error)) from None
