"""Tasks: a client uses the id of a task to get the result of a call that waits later.

A task has a row of its own, over one or several watches. It ends when the first of them meets its condition, and its
result is saved with it: every process returns the same result, also after the watch has changed again. Ending a task
ends nothing else.
"""

import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from tp_mcp.clock import Clock
from tp_mcp.errors import WatchNotFoundError
from tp_mcp.watch.delivery.waiting import Awaited, Until, fingerprint_of, met
from tp_mcp.watch.model.watch import Owner, Watch
from tp_mcp.watch.registry import WatchRegistry

ID_PREFIX = "t_"
ID_BYTES = 24
KEPT_SECONDS = 24 * 3600.0
"""Time for which a task is kept after the latest possible end of its watches."""

MAX_TASKS = 20_000
"""Maximum number of tasks of one principal; further calls are answered at once."""


class TaskState(StrEnum):
    """The state of a task."""

    WORKING = "working"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class WatchTask:
    """All data of one task. Times are seconds since the epoch.

    The id, `t_...`, cannot be guessed. `fingerprints` are those of its watches at the beginning, `text` is its result
    or the reason why it was ended, and `reported` are the watches whose ends are in the result.
    """

    id: str
    owner: Owner
    watch_ids: tuple[str, ...]
    fingerprints: tuple[str, ...]
    until: Until
    created_at: float
    expires_at: float
    state: TaskState = TaskState.WORKING
    ended_at: float | None = None
    text: str = ""
    is_error: bool = False
    reported: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """The end of a task. Attributes as in `WatchTask`."""

    state: TaskState
    at: float
    text: str
    is_error: bool = False
    reported: tuple[str, ...] = ()


class TaskStore(Protocol):
    """Keeps tasks. Every method may raise StoreError."""

    async def add_task(self, task: WatchTask) -> bool:
        """Save a new task, and drop expired ones; return False if its principal has `MAX_TASKS` already."""
        ...

    async def task(self, task_id: str) -> WatchTask | None:
        """Return a task."""
        ...

    async def end_task(self, task_id: str, end: TaskEnd) -> WatchTask | None:
        """End a task unless it has ended; return it afterwards, None if there is none."""
        ...


class Tasks:
    """Makes tasks and finds them again. Every method may raise StoreError."""

    def __init__(self, *, store: TaskStore, registry: WatchRegistry, clock: Clock) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock

    async def begin(self, owner: Owner, awaited: Awaited) -> WatchTask | None:
        """Make and save a task; return None if its condition is met already, or the principal has too many."""
        now = self._clock.now()
        last = max(watch.since + watch.spec.timeout_seconds for watch in awaited.watches)
        task = WatchTask(
            id=ID_PREFIX + secrets.token_urlsafe(ID_BYTES),
            owner=owner,
            watch_ids=tuple(watch.id for watch in awaited.watches),
            fingerprints=tuple(map(fingerprint_of, awaited.watches)),
            until=awaited.until,
            created_at=now,
            expires_at=max(now, last) + KEPT_SECONDS,
        )
        if is_over(task, awaited.watches) or not await self._store.add_task(task):
            return None
        return task

    async def get(self, task_id: str, owner: Owner) -> WatchTask | None:
        """Return one of a principal's tasks; None if there is none with this id, or it is another principal's."""
        task = await self._store.task(task_id)
        if task is None or task.owner.principal != owner.principal or task.expires_at < self._clock.now():
            return None
        return task

    async def watches(self, task: WatchTask) -> tuple[Watch, ...]:
        """Return the present watches of a task, without those that are no longer kept."""
        watches: list[Watch] = []
        for watch_id in task.watch_ids:
            try:
                watches.append(await self._registry.get(watch_id, task.owner))
            except WatchNotFoundError:
                continue
        return tuple(watches)

    async def end(
        self, task: WatchTask, state: TaskState, text: str, *, is_error: bool = False, reported: tuple[str, ...] = ()
    ) -> WatchTask:
        """End a task; if it has ended already, return that end."""
        end = TaskEnd(state, self._clock.now(), text, is_error, reported)
        return await self._store.end_task(task.id, end) or task


def is_over(task: WatchTask, watches: tuple[Watch, ...]) -> bool:
    """Return whether the condition of a task is met, or can no longer be met."""
    fingerprints = dict(zip(task.watch_ids, task.fingerprints, strict=True))
    return not watches or any(met(task.until, fingerprints[watch.id], watch) for watch in watches)
