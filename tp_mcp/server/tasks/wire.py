"""Tasks as they are written on the wire."""

from datetime import UTC, datetime
from typing import Any, Literal

from mcp.types import RequestParams
from pydantic import BaseModel, Field

from tp_mcp.server.tasks.task_keeper import Task, TaskStatus

EXTENSION = "io.modelcontextprotocol/tasks"
PROTOCOL_VERSIONS = frozenset({"2026-07-28"})
NOTIFICATION: Literal["notifications/tasks"] = "notifications/tasks"
TASK_ID_MAX_CHARACTERS = 256

Wire = dict[str, Any]


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


def created(task: Task) -> Wire:
    """Return the answer to a call that became a task: its seed, without result, error or requests."""
    return {"resultType": "task", **_plain(task)}


def detailed(task: Task) -> Wire:
    """Return a task with what belongs to its status."""
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
