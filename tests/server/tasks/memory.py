"""Tasks kept in memory, over functions that may ask their client for something: what the protocol can be tried with."""

import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import anyio.abc
from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.types import CallToolRequestParams, CallToolResult

from tp_mcp.server.tasks.extension import Changed, Task, TaskStatus

Context = ServerRequestContext[Any, Any]
TTL_MS = 24 * 3600 * 1000
POLL_MS = 100


@dataclass(eq=False)
class Running:
    """One task, and the function behind it; the function uses `ask`."""

    task: Task
    answers: dict[str, Any] = field(default_factory=dict)
    moved: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    listeners: list[Changed] = field(default_factory=list)

    def become(self, **changes: Any) -> None:
        self.task = replace(self.task, updated_at=time.time(), **changes)
        self.moved.set()
        self.moved = anyio.Event()
        for changed in self.listeners:
            changed.tell(self.task.id)

    async def ask(self, **requests: Mapping[str, Any]) -> dict[str, Any]:
        """Ask the client, and return its answers by key."""
        self.become(status=TaskStatus.INPUT_REQUIRED, input_requests=requests)
        while missing := requests.keys() - self.answers.keys():
            await self.moved.wait()
            pending = {key: value for key, value in requests.items() if key in missing - self.answers.keys()}
            if pending and pending != self.task.input_requests:
                self.become(input_requests=pending)
        self.become(status=TaskStatus.WORKING, input_requests={})
        return {key: self.answers[key] for key in requests}


Work = Callable[[Running, dict[str, Any]], Awaitable[CallToolResult]]


class MemoryTasks:
    """Makes a task of each call of some tools."""

    def __init__(self, works: Mapping[str, Work], *, required: frozenset[str] = frozenset()) -> None:
        self._works = works
        self._required = required
        self._running: dict[str, Running] = {}
        self._group: anyio.abc.TaskGroup | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as self._group:
            yield
            self._group.cancel_scope.cancel()

    def requires_tasks(self, tool: str) -> bool:
        return tool in self._required

    async def call(self, ctx: Context, params: CallToolRequestParams, call_next: CallNext) -> Task | HandlerResult:
        work = self._works.get(params.name)
        if work is None:
            return await call_next(ctx)
        return self.begin(work, params.arguments or {})

    def begin(self, work: Work, arguments: dict[str, Any]) -> Task:
        assert self._group is not None
        now = time.time()
        running = Running(Task(uuid.uuid4().hex, TaskStatus.WORKING, now, now, TTL_MS, POLL_MS))
        self._running[running.task.id] = running
        self._group.start_soon(self._run, running, work, arguments)
        return running.task

    async def get(self, ctx: Context, task_id: str) -> Task | None:
        return await self.look(ctx, task_id)

    async def look(self, _ctx: Context, task_id: str) -> Task | None:
        running = self._running.get(task_id)
        return None if running is None else running.task

    async def update(self, _ctx: Context, task_id: str, responses: Mapping[str, Any]) -> bool:
        running = self._running.get(task_id)
        if running is None:
            return False
        asked = running.task.input_requests
        running.answers.update({key: value for key, value in responses.items() if key in asked})
        if not running.task.status.terminal:
            left = {key: value for key, value in asked.items() if key not in running.answers}
            running.become(input_requests=left)
        return True

    async def cancel(self, _ctx: Context, task_id: str) -> bool:
        running = self._running.get(task_id)
        if running is not None and not running.task.status.terminal:
            running.become(status=TaskStatus.CANCELLED, input_requests={})
            running.scope.cancel()
        return running is not None

    @asynccontextmanager
    async def following(self, _ctx: Context, task_ids: Sequence[str]) -> AsyncIterator[Changed]:
        changed = Changed()
        followed = [self._running[task_id] for task_id in task_ids]
        for running in followed:
            running.listeners.append(changed)
        try:
            yield changed
        finally:
            for running in followed:
                running.listeners.remove(changed)

    async def _run(self, running: Running, work: Work, arguments: dict[str, Any]) -> None:
        with running.scope:
            try:
                result = await work(running, arguments)
            except MCPError as error:
                wrong = {"code": error.code, "message": error.error.message}
                running.become(status=TaskStatus.FAILED, error=wrong)
            else:
                shown = result.model_dump(by_alias=True, mode="json", exclude_none=True)
                running.become(status=TaskStatus.COMPLETED, result=shown)
