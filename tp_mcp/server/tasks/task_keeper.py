"""What the protocol needs of whoever keeps the tasks."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

import anyio

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from mcp.types import CallToolRequestParams

    from tp_mcp.redaction import SafeText

    Context = ServerRequestContext[Any, Any]
    Json = Mapping[str, Any]


class TaskStatus(StrEnum):
    """Where a task is in its life; what is terminal never changes again."""

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
        id: unguessable: whoever has it may ask for it.
        status: where it is in its life.
        created_at: when it was made.
        updated_at: when it last changed.
        ttl_ms: milliseconds from its making in which it can be asked for, at least.
        poll_interval_ms: milliseconds that a client should let pass between two questions.
        message: how it stands, for a person.
        result: of the call, in the shape of the protocol; only where it is completed.
        error: code and message; only where it failed.
        input_requests: what the client is asked for, by key; only where input is required.

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
    """The tasks that may have changed, each once, however often they did before somebody looked."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}
        self._told = anyio.Event()

    def tell(self, task_id: str) -> None:
        """Take in that a task may have changed."""
        self._ids[task_id] = None
        self._told.set()

    async def next(self) -> str:
        """Return the id of one that may have changed, waiting for it where there is none."""
        while not self._ids:
            self._told = anyio.Event()
            await self._told.wait()
        task_id = next(iter(self._ids))
        del self._ids[task_id]
        return task_id


class TaskKeeper(Protocol):
    """Makes tasks and keeps them. Another's task is as missing as one that never was."""

    def requires_tasks(self, tool: str) -> bool:
        """Return whether a tool cannot be called by a client without tasks."""
        ...

    async def call(self, ctx: Context, params: CallToolRequestParams, call_next: CallNext) -> Task | HandlerResult:
        """Call a tool for a client that takes tasks: return a task that can be asked for by now, or the result."""
        ...

    async def get(self, ctx: Context, task_id: str, /) -> Task | None:
        """Return a task to the client that asks for it; None where there is none for it."""
        ...

    async def look(self, ctx: Context, task_id: str, /) -> Task | None:
        """Return the same for a push, which may never reach anybody."""
        ...

    async def update(self, ctx: Context, task_id: str, responses: Json, /) -> bool:
        """Take in answers to what a task asked for; what it did not ask for is ignored. False where there is none."""
        ...

    async def cancel(self, ctx: Context, task_id: str, /) -> bool:
        """End a task, unless it has ended; False where there is none."""
        ...

    def following(self, ctx: Context, task_ids: Sequence[str], /) -> AbstractAsyncContextManager[Changed]:
        """Return a context in which it is told which of some tasks may have changed."""
        ...
