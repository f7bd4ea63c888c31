"""Tasks: handles by which a client asks later for the result of a call that waits, or would have waited.

A task is a row of its own over one or several watches, with its own end. It ends when the first of its watches meets
what it is for, and what it tells then is kept with it: it is the same for everyone who asks, in whatever process, also
after the watch has gone on. Ending a task ends nothing else.
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
"""How long a task is kept beyond the latest moment at which its watches can end."""

MAX_TASKS = 20_000
"""Tasks of one principal that are kept; further calls are answered at once."""


class TaskState(StrEnum):
    """Where a task is in its life."""

    WORKING = "working"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class WatchTask:
    """Everything that is kept of a task. Times are seconds since the epoch.

    Attributes:
        id: `t_...`, which cannot be guessed.
        owner: whose it is.
        watch_ids: what it is over.
        stood: how each of them stood when it was made, as `fingerprint_of` tells it.
        until: what it waits for.
        created_at: when it was made.
        expires_at: when it may be dropped.
        state: where it is in its life.
        ended_at: when it ended.
        text: what it tells: its result, or why it was ended.
        is_error: whether that is an error.
        told: the watches whose ends it tells.

    """

    id: str
    owner: Owner
    watch_ids: tuple[str, ...]
    stood: tuple[str, ...]
    until: Until
    created_at: float
    expires_at: float
    state: TaskState = TaskState.WORKING
    ended_at: float | None = None
    text: str = ""
    is_error: bool = False
    told: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """How a task ended. Attributes as of `WatchTask`."""

    state: TaskState
    at: float
    text: str
    is_error: bool = False
    told: tuple[str, ...] = ()


class TaskStore(Protocol):
    """Keeps tasks. Every method may raise StoreError."""

    async def add_task(self, task: WatchTask) -> bool:
        """Write a new task, and drop those that expired; False where its principal has `MAX_TASKS` already."""
        ...

    async def task(self, task_id: str) -> WatchTask | None:
        """Return a task."""
        ...

    async def end_task(self, task_id: str, end: TaskEnd) -> WatchTask | None:
        """End a task unless it has ended; return it as it stands then, None where there is none."""
        ...


class Tasks:
    """Makes tasks and finds them again."""

    def __init__(self, *, store: TaskStore, registry: WatchRegistry, clock: Clock) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock

    async def begin(self, owner: Owner, awaited: Awaited) -> WatchTask | None:
        """Make a task, written when this returns; None where there is nothing to wait for, or too many are kept.

        Raises:
            StoreError: it could not be written.

        """
        stood = tuple(map(fingerprint_of, awaited.watches))
        if any(met(awaited.until, stand, watch) for stand, watch in zip(stood, awaited.watches, strict=True)):
            return None
        now = self._clock.now()
        last = max(watch.since + watch.spec.timeout_seconds for watch in awaited.watches)
        task = WatchTask(
            id=ID_PREFIX + secrets.token_urlsafe(ID_BYTES),
            owner=owner,
            watch_ids=tuple(watch.id for watch in awaited.watches),
            stood=stood,
            until=awaited.until,
            created_at=now,
            expires_at=max(now, last) + KEPT_SECONDS,
        )
        return task if await self._store.add_task(task) else None

    async def get(self, task_id: str, owner: Owner) -> WatchTask | None:
        """Return one of a principal's tasks; None where there is none with this id, or it is another principal's.

        Raises:
            StoreError: it could not be read.

        """
        task = await self._store.task(task_id)
        if task is None or task.owner.principal != owner.principal or task.expires_at < self._clock.now():
            return None
        return task

    async def watches(self, task: WatchTask) -> tuple[Watch, ...]:
        """Return what a task is over, as it stands; a watch that is no longer kept is left out."""
        watches: list[Watch] = []
        for watch_id in task.watch_ids:
            try:
                watches.append(await self._registry.get(watch_id, task.owner))
            except WatchNotFoundError:
                continue
        return tuple(watches)

    async def end(
        self, task: WatchTask, state: TaskState, text: str, *, is_error: bool = False, told: tuple[str, ...] = ()
    ) -> WatchTask:
        """End a task; where it has ended meanwhile, return it as it ended.

        Raises:
            StoreError: it could not be written.

        """
        end = TaskEnd(state, self._clock.now(), text, is_error, told)
        return await self._store.end_task(task.id, end) or task


def is_over(task: WatchTask, watches: tuple[Watch, ...]) -> bool:
    """Return whether what a task waits for has come, or can come no more."""
    stood = dict(zip(task.watch_ids, task.stood, strict=True))
    return not watches or any(met(task.until, stood[watch.id], watch) for watch in watches)
