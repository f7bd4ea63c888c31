"""The Tasks extension: its tasks, its requests and their form on the wire, over any `TaskKeeper`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, Protocol

import anyio
from mcp import MCPError
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver import require_client_extension
from mcp.types import HEADER_MISMATCH, INVALID_PARAMS, RequestParams
from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from mcp.types import CallToolRequestParams

    from tp_mcp.redaction import SafeText

    Context = ServerRequestContext[Any, Any]
    Json = Mapping[str, Any]

EXTENSION = "io.modelcontextprotocol/tasks"
PROTOCOL_VERSIONS = frozenset({"2026-07-28"})
NOTIFICATION: Literal["notifications/tasks"] = "notifications/tasks"
TASK_ID_MAX_CHARACTERS = 256

Wire = dict[str, Any]
NAME_HEADER = "mcp-name"


class TaskStatus(StrEnum):
    """The status of a task; a terminal one never changes again."""

    WORKING = "working"
    INPUT_REQUIRED = "input_required"
    COMPLETED = "completed"
    """There is a result, which may be a tool's error."""
    FAILED = "failed"
    """There is a JSON-RPC error instead of a result."""
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Return whether a task of this status never changes again."""
        return self not in {TaskStatus.WORKING, TaskStatus.INPUT_REQUIRED}


@dataclass(frozen=True, slots=True)
class Task:
    """A task as the protocol shows it. Times are seconds since the epoch.

    Attributes:
        id: unguessable, because it grants access to the task.
        ttl_ms: milliseconds after its creation for which it is kept, at least.
        poll_interval_ms: milliseconds that a client should wait between two requests.
        result: the result of the call in the protocol's form; only for a completed task.
        error: code and message; only for a failed task.
        input_requests: the questions to the client, by key; only if input is required.
    """

    id: str
    status: TaskStatus
    created_at: float
    updated_at: float
    ttl_ms: int
    poll_interval_ms: int
    message: SafeText | None = None
    result: Json | None = None
    error: Json | None = None
    input_requests: Json = field(default_factory=dict)


class Changed:
    """A queue of the tasks that may have changed, each at most once."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}
        self._added = anyio.Event()

    def tell(self, task_id: str) -> None:
        """Add a task that may have changed."""
        self._ids[task_id] = None
        self._added.set()

    async def next(self) -> str:
        """Return the id of the next task that may have changed; wait for one if there is none."""
        while not self._ids:
            self._added = anyio.Event()
            await self._added.wait()
        task_id = next(iter(self._ids))
        del self._ids[task_id]
        return task_id


class TaskKeeper(Protocol):
    """Creates and keeps tasks. To everyone else a principal's task looks missing."""

    def requires_tasks(self, tool: str) -> bool:
        """Return whether a tool cannot be called by a client without tasks."""

    async def call(self, ctx: Context, params: CallToolRequestParams, call_next: CallNext) -> Task | HandlerResult:
        """Call a tool for a client that takes tasks: return a task that can be asked for by now, or the result."""

    async def get(self, ctx: Context, task_id: str, /) -> Task | None:
        """Return a task to the client that asks for it; None if it has no such task."""

    async def look(self, ctx: Context, task_id: str, /) -> Task | None:
        """Return the same for a notification, which may never arrive."""

    async def update(self, ctx: Context, task_id: str, responses: Json, /) -> bool:
        """Pass answers to a task's questions; ignore others. Return False if there is no such task."""

    async def cancel(self, ctx: Context, task_id: str, /) -> bool:
        """Cancel a task unless it has ended; return False if there is no such task."""

    def following(self, ctx: Context, task_ids: Sequence[str], /) -> AbstractAsyncContextManager[Changed]:
        """Return a context that reports which of some tasks may have changed."""


class TaskParams(RequestParams):
    """Parameters of a request about one task."""

    task_id: str = Field(max_length=TASK_ID_MAX_CHARACTERS)


class UpdateParams(TaskParams):
    """Parameters of `tasks/update`."""

    input_responses: Wire = Field(default_factory=dict)


class TaskNotification(BaseModel):
    """`notifications/tasks`: a whole task, as `tasks/get` would return it."""

    method: Literal["notifications/tasks"] = NOTIFICATION
    params: Wire


class TasksExtension(Extension):
    """Answers tool calls with tasks, and requests about tasks."""

    identifier = EXTENSION

    def __init__(self, keeper: TaskKeeper) -> None:
        self._keeper = keeper

    def methods(self) -> Sequence[MethodBinding]:
        """Return the requests about tasks, which only the 2026-07-28 protocol has."""
        return (
            MethodBinding("tasks/get", TaskParams, self._get, PROTOCOL_VERSIONS),
            MethodBinding("tasks/update", UpdateParams, self._update, PROTOCOL_VERSIONS),
            MethodBinding("tasks/cancel", TaskParams, self._cancel, PROTOCOL_VERSIONS),
        )

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: Context, call_next: CallNext
    ) -> HandlerResult:
        """Answer with a task if the keeper creates one. A client that did not declare tasks gets none."""
        if not declares_tasks(ctx):
            if ctx.protocol_version in PROTOCOL_VERSIONS and self._keeper.requires_tasks(params.name):
                require_client_extension(ctx, EXTENSION)
            return await call_next(ctx)
        outcome = await self._keeper.call(ctx, params, call_next)
        return created(outcome) if isinstance(outcome, Task) else outcome

    async def _get(self, ctx: Context, params: TaskParams) -> Wire:
        _check(ctx, params)
        task = await self._keeper.get(ctx, params.task_id)
        if task is None:
            raise _not_found()
        return {"resultType": "complete", **detailed(task)}

    async def _update(self, ctx: Context, params: UpdateParams) -> Wire:
        _check(ctx, params)
        if not await self._keeper.update(ctx, params.task_id, params.input_responses):
            raise _not_found()
        return acknowledged()

    async def _cancel(self, ctx: Context, params: TaskParams) -> Wire:
        _check(ctx, params)
        if not await self._keeper.cancel(ctx, params.task_id):
            raise _not_found()
        return acknowledged()


def declares_tasks(ctx: Context) -> bool:
    """Return whether the client of a request declared tasks."""
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


def created(task: Task) -> Wire:
    """Return the answer to a call that became a task: its seed, without result, error or requests."""
    return {"resultType": "task", **_plain(task)}


def detailed(task: Task) -> Wire:
    """Return a task with the fields of its status."""
    wire = _plain(task)
    match task.status:
        case TaskStatus.COMPLETED:
            wire["result"] = dict(task.result or {})
        case TaskStatus.FAILED:
            wire["error"] = dict(task.error or {})
        case TaskStatus.INPUT_REQUIRED:
            wire["inputRequests"] = dict(task.input_requests)
        case TaskStatus.WORKING | TaskStatus.CANCELLED:
            pass
    return wire


def acknowledged() -> Wire:
    """Return the empty answer to an update or a cancellation."""
    return {"resultType": "complete"}


def _plain(task: Task) -> Wire:
    message = {"statusMessage": task.message} if task.message else {}
    return {
        "taskId": task.id,
        "status": task.status.value,
        **message,
        "createdAt": _moment(task.created_at),
        "lastUpdatedAt": _moment(task.updated_at),
        "ttlMs": task.ttl_ms,
        "pollIntervalMs": task.poll_interval_ms,
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
