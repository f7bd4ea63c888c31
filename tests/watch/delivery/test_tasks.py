"""Tasks as they are kept: over watches that go on, end, and are dropped."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tp_mcp.storage.delivery import TaskTable
from tp_mcp.watch.delivery.tasks import KEPT_SECONDS, Tasks, TaskState, WatchTask, is_over
from tp_mcp.watch.delivery.waiting import Awaited, Until
from tp_mcp.watch.model.watch import Owner, Watch, WatchState

MakeWatch = Callable[..., Watch]


async def begun(world: Any, watch: Watch, until: Until = Until.TERMINAL) -> tuple[Tasks, WatchTask]:
    tasks = Tasks(store=TaskTable(world.store.real._database), registry=world.registry, clock=world.clock)
    task = await tasks.begin(watch.owner, Awaited((watch,), until))
    assert task is not None
    return tasks, task


async def test_a_task_comes_back_as_it_was_written(open_world: Any, make_watch: MakeWatch, alice: Owner) -> None:
    async with open_world() as world:
        tasks, task = await begun(world, await world.add(make_watch()), Until.CHANGE)
        assert await tasks.get(task.id, alice) == task
        assert await tasks.get(task.id, replace(alice, conversation="environment:another")) == task
        assert await tasks.get(task.id, replace(alice, principal="local:mallory")) is None
        assert await tasks.get("t_nothing", alice) is None


async def test_an_end_is_the_first_one(open_world: Any, make_watch: MakeWatch, alice: Owner) -> None:
    async with open_world() as world:
        tasks, task = await begun(world, await world.add(make_watch()))
        ended = await tasks.end(task, TaskState.COMPLETED, "one", is_error=True, reported=("w_00000000",))
        assert (ended.state, ended.text, ended.is_error, ended.reported) == (
            TaskState.COMPLETED,
            "one",
            True,
            ("w_00000000",),
        )
        assert await tasks.end(task, TaskState.CANCELLED, "two") == ended == await tasks.get(task.id, alice)


async def test_what_has_ended_already_needs_no_task(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        tasks = Tasks(store=TaskTable(world.store.real._database), registry=world.registry, clock=world.clock)
        ended = make_watch(state=WatchState.DONE, ended_at=world.clock.time)
        assert await tasks.begin(ended.owner, Awaited((ended,))) is None


async def test_a_task_is_over_when_one_of_its_watches_is_or_none_is_kept(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        tasks, task = await begun(world, watch)
        assert not is_over(task, await tasks.watches(task))
        assert is_over(task, (replace(watch, state=WatchState.LOST),))
        gone = replace(task, watch_ids=("w_00000000",))
        assert await tasks.watches(gone) == ()
        assert is_over(gone, ())


async def test_tasks_that_expired_are_dropped_by_the_next(open_world: Any, make_watch: MakeWatch, alice: Owner) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        tasks, task = await begun(world, watch)
        assert task.expires_at == watch.since + watch.spec.timeout_seconds + KEPT_SECONDS
        world.clock.time = task.expires_at + 1
        assert await tasks.get(task.id, alice) is None
        await begun(world, watch)
        assert await TaskTable(world.store.real._database).task(task.id) is None
