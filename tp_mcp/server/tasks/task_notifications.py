"""`notifications/tasks` on the streams of `subscriptions/listen`."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import anyio
from mcp.server.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp.types import SubscriptionsAcknowledgedNotification

from tp_mcp.server.tasks.extension import TaskNotification, declares_tasks, detailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from mcp.server.session import ServerSession
    from mcp.types import RequestId, ServerNotification

    from tp_mcp.server.tasks.extension import Changed, TaskKeeper

    Context = ServerRequestContext[Any, Any]

logger = logging.getLogger(__name__)

METHOD = "subscriptions/listen"
FILTER_KEY = "taskIds"
MAX_TASKS = 256
"""Tasks of one listen stream; more are not honoured."""


class TasksListening:
    """Middleware that adds tasks to whatever else a listen stream carries.

    The handler behind it serves the stream: it acknowledges, limits and ends it. What is added here is the tasks in the
    acknowledgement; right after it each task as it stands, so that nothing is missed that happened between a task's
    making and the listening; and from then on each change.
    """

    def __init__(self, keeper: TaskKeeper) -> None:
        self._keeper = keeper

    async def __call__(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Serve a listen stream; pass every other request on."""
        asked = _asked(ctx)
        if not asked or not declares_tasks(ctx):
            return await call_next(ctx)
        task_ids = [task_id for task_id in asked if await self._keeper.look(ctx, task_id) is not None]
        session = _AcknowledgingSession(ctx.session, task_ids)
        failure: Exception | None = None
        result: HandlerResult = None
        async with self._keeper.following(ctx, task_ids) as changed, anyio.create_task_group() as tasks:
            tasks.start_soon(self._tell, ctx, task_ids, changed, session.acknowledged)
            try:
                result = await call_next(replace(ctx, session=cast("ServerSession", session)))
            except Exception as error:  # noqa: BLE001 -- raised below: here a task group would wrap it
                failure = error
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return result

    async def _tell(self, ctx: Context, task_ids: Sequence[str], changed: Changed, acknowledged: anyio.Event) -> None:
        await acknowledged.wait()
        for task_id in task_ids:
            changed.tell(task_id)
        sent: dict[str, dict[str, Any]] = {}
        while True:
            task_id = await changed.next()
            try:
                task = await self._keeper.look(ctx, task_id)
            except Exception:
                logger.exception("A client could not be notified of a task")
                continue
            if task is None or sent.get(task_id) == detailed(task):
                continue
            sent[task_id] = detailed(task)
            params = {**sent[task_id], "_meta": {SUBSCRIPTION_ID_META_KEY: ctx.request_id}}
            notification = cast("ServerNotification", TaskNotification(params=params))
            await ctx.session.send_notification(notification, related_request_id=ctx.request_id)


class _AcknowledgingSession:
    """The session of a listen request, as its handler sees it: its acknowledgement names the tasks too."""

    def __init__(self, session: ServerSession, task_ids: Sequence[str]) -> None:
        self._session = session
        self._task_ids = list(task_ids)
        self.acknowledged = anyio.Event()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- whatever the session has
        return getattr(self._session, name)

    async def send_notification(
        self, notification: ServerNotification, related_request_id: RequestId | None = None
    ) -> None:
        acknowledges = isinstance(notification, SubscriptionsAcknowledgedNotification)
        if isinstance(notification, SubscriptionsAcknowledgedNotification):
            honoured = notification.params.notifications.model_copy(update={FILTER_KEY: self._task_ids})
            params = notification.params.model_copy(update={"notifications": honoured})
            notification = notification.model_copy(update={"params": params})
        await self._session.send_notification(notification, related_request_id)
        if acknowledges:
            self.acknowledged.set()


def _asked(ctx: Context) -> list[str]:
    if ctx.method != METHOD:
        return []
    wanted = (ctx.params or {}).get("notifications")
    ids = wanted.get(FILTER_KEY) if isinstance(wanted, dict) else None
    if not isinstance(ids, list):
        return []
    return list(dict.fromkeys(each for each in ids if isinstance(each, str)))[:MAX_TASKS]
