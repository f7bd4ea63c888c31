"""A client of the Tasks extension, on the Python SDK: it takes tasks, asks for them, and listens for them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import anyio
from mcp import Client
from mcp.client.extension import ClaimContext, ClientExtension, NotificationBinding, ResultClaim
from mcp.client.session import ClientSession
from mcp.types import CallToolResult, Request, Result
from pydantic import BaseModel, ConfigDict

from tests.support.patience import PATIENCE_SECONDS
from tp_mcp.server.tasks.extension import EXTENSION


class CreatedTask(Result):
    """What a call is answered with that became a task."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)
    result_type: Literal["task"] = "task"


class Anything(BaseModel):
    """An object as it was on the wire."""

    model_config = ConfigDict(extra="allow")


class TaskRequest(Request[dict[str, Any], str]):
    """A request about a task; its id goes into the header Mcp-Name."""

    name_param: ClassVar[str | None] = "taskId"


class ListenRequest(Request[dict[str, Any], str]):
    """A request to listen, with whatever filter."""


class TasksClient(ClientExtension):
    """Declares the extension, resolves each task by asking for it, and remembers what it was told."""

    identifier = EXTENSION

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.created: list[dict[str, Any]] = []
        self.seen: list[dict[str, Any]] = []
        self.news = anyio.Event()

    def claims(self) -> tuple[ResultClaim[Any], ...]:
        return (ResultClaim(result_type="task", model=CreatedTask, resolve=self._resolve),)

    def notifications(self) -> tuple[NotificationBinding[Any], ...]:
        return (NotificationBinding(method="notifications/tasks", params_type=Anything, handler=self._hear),)

    async def heard(self, number: int) -> list[dict[str, Any]]:
        """Return what was told, once it is so much."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.told) < number:
                self.news = anyio.Event()
                await self.news.wait()
        return self.told

    async def _hear(self, params: Anything) -> None:
        self.told.append(params.model_dump())
        self.news.set()

    async def _resolve(self, created: CreatedTask, context: ClaimContext) -> CallToolResult:
        task = created.model_dump(by_alias=True)
        self.created.append(task)
        while task["status"] in {"working", "input_required"}:
            await anyio.sleep(task["pollIntervalMs"] / 1000)
            task = await ask(context.session, "tasks/get", taskId=task["taskId"])
            self.seen.append(task)
        return CallToolResult.model_validate(task["result"])


async def ask(session: ClientSession, method: str, **params: Any) -> dict[str, Any]:
    """Make a request about a task and return its result as it was on the wire."""
    return (await session.send_request(TaskRequest(method=method, params=params), Anything)).model_dump()


@dataclass
class TaskTaker:
    """One client that takes tasks."""

    client: Client
    extension: TasksClient = field(default_factory=TasksClient)

    async def create(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool and return the task that it became."""
        created = await self.client.session.call_tool(name, arguments, allow_claimed=True)
        assert isinstance(created, CreatedTask), created
        return created.model_dump(by_alias=True)

    async def ask(self, method: str, task_id: str, **more: Any) -> dict[str, Any]:
        return await ask(self.client.session, method, taskId=task_id, **more)

    async def until(self, task_id: str, *statuses: str) -> dict[str, Any]:
        """Ask for a task until it has one of some statuses."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (task := await self.ask("tasks/get", task_id))["status"] not in statuses:
                await anyio.sleep(0.02)
        return task

    @asynccontextmanager
    async def listening(self, *task_ids: str, **wanted: Any) -> AsyncIterator[None]:
        """Listen for tasks until the context is left."""
        request = ListenRequest(
            method="subscriptions/listen", params={"notifications": {"taskIds": list(task_ids), **wanted}}
        )
        listening = asyncio.create_task(self.client.session.send_request(request, Anything))
        try:
            yield
        finally:
            listening.cancel()


@asynccontextmanager
async def taking_tasks(server: Any, **options: Any) -> AsyncIterator[TaskTaker]:
    """Connect a client that takes tasks."""
    extension = TasksClient()
    async with Client(server, extensions=[extension], **options) as client:
        yield TaskTaker(client, extension)
