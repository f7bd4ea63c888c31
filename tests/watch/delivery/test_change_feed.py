"""What happens to watches is told: here at once, in other processes of the same store by looking, ends surely once."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from tp_mcp.watch.delivery.change_feed import SUBSCRIBED_SECONDS
from tp_mcp.watch.model.watch import Watch, WatchState

Open = Callable[..., AbstractAsyncContextManager[Any]]
MakeWatch = Callable[..., Watch]


class Listener:
    """Listens to the news of one process, and says what it wants to know of other processes' watches."""

    def __init__(self, world: Any, *wanted: str, present: bool = True) -> None:
        self.changes: list[tuple[str, WatchState]] = []
        self.subscribed: set[str] | None = set(wanted) if present else None
        self.stop = world.feed.listen(
            lambda watch: self.changes.append((watch.id, watch.state)), lambda: self.subscribed
        )

    def ends(self) -> list[str]:
        return [watch_id for watch_id, state in self.changes if state.ended]


async def test_what_happens_here_is_told_at_once_until_nobody_listens(open_world: Open, make_watch: MakeWatch) -> None:
    async with open_world() as here:
        listener = Listener(here)
        first, second = await here.add(make_watch("1")), await here.add(make_watch("2"))
        here.reader.on("1", {"status": "done"})
        await here.advance(30)
        assert listener.ends() == [first.id]
        listener.stop()
        here.reader.on("2", {"status": "done"})
        await here.advance(30)
        assert listener.ends() == [first.id]
        assert (await here.stored(second)).state is WatchState.DONE


async def test_an_end_that_another_process_wrote_is_told_within_two_looks(
    open_world: Open, make_watch: MakeWatch
) -> None:
    async with open_world() as here, open_world(here.clock) as there:
        before = await there.add(make_watch("1"))
        there.reader.on("1", {"status": "done"})
        await there.advance(30)
        listener = Listener(here)
        await here.advance(5)
        watch = await there.add(make_watch("2"))
        there.reader.on("2", {"status": "done"})
        await there.advance(30)
        await here.advance(2 * SUBSCRIBED_SECONDS)
        assert listener.ends() == [watch.id]
        assert before.id not in listener.ends()


async def test_changes_of_another_processs_watch_are_told_where_they_are_wanted(
    open_world: Open, make_watch: MakeWatch
) -> None:
    async with open_world() as here, open_world(here.clock) as there:
        wanted, other = await there.add(make_watch("1")), await there.add(make_watch("2"))
        listener = Listener(here, wanted.id)
        await there.advance(40)
        await here.advance(2 * SUBSCRIBED_SECONDS)
        told = len(listener.changes)
        assert {watch_id for watch_id, _ in listener.changes} == {wanted.id}
        await here.advance(5)
        assert len(listener.changes) == told
        await there.advance(40)
        await here.advance(2 * SUBSCRIBED_SECONDS)
        assert len(listener.changes) > told
        assert other.id not in {watch_id for watch_id, _ in listener.changes}


async def test_nothing_is_looked_at_while_nobody_wants_it_and_what_ended_then_is_no_news(
    open_world: Open, make_watch: MakeWatch
) -> None:
    async with open_world() as here, open_world(here.clock) as there:
        listener = Listener(here, present=False)
        await there.add(make_watch("1"))
        there.reader.on("1", {"status": "done"})
        await there.advance(30)
        await here.advance(5)
        assert here.store.calls == []
        listener.subscribed = set()
        await here.advance(5)
        assert listener.changes == []


async def test_a_store_that_cannot_be_looked_at_is_looked_at_again(open_world: Open, make_watch: MakeWatch) -> None:
    async with open_world() as here, open_world(here.clock) as there:
        listener = Listener(here)
        await here.advance(2)
        here.store.fail_always("ends_after")
        watch = await there.add(make_watch("1"))
        there.reader.on("1", {"status": "done"})
        await there.advance(30)
        await here.advance(5)
        assert listener.changes == []
        here.store.fail("ends_after")
        await here.advance(2)
        assert listener.ends() == [watch.id]
