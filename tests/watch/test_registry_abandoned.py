"""The watches of a TP that is no more end as lost, once."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tp_mcp.storage.opening import open_storage
from tp_mcp.storage.watches import WatchStore
from tp_mcp.watch.delivery.messages import inbox_entry
from tp_mcp.watch.lifecycle import state_machine
from tp_mcp.watch.model.watch import InboxEntry, Owner, Watch, WatchState
from tp_mcp.watch.registry import end_abandoned

GONE = "http://gone"
REASON = "Its TP is no more."


async def test_they_end_as_lost_and_their_conversation_is_told(
    tmp_path: Path, make_watch: Callable[..., Watch], alice: Owner
) -> None:
    store = (await open_storage(tmp_path)).watches
    abandoned, other = make_watch(server=GONE), make_watch()
    await store.add(abandoned)
    await store.add(other)
    assert await end_abandoned(store, lambda server: server == GONE, reason=REASON, now=other.created_at + 1) == 1
    (entry,) = await store.unseen(alice)
    assert entry.watch_id == abandoned.id
    assert REASON in entry.text
    assert [watch.id for watch in await store.unended(None)] == [other.id]
    await store.close()


async def test_one_that_another_process_ends_first_is_ended_once(
    tmp_path: Path, make_watch: Callable[..., Watch], alice: Owner
) -> None:
    class Slow(WatchStore):
        async def save(
            self, watch: Watch, entry: InboxEntry | None = None, *, epoch: int | None = None
        ) -> Watch | None:
            quicker = state_machine.lose(replace(watch, state=WatchState.ACTIVE), reason=REASON, now=watch.created_at)
            await super().save(quicker.watch, inbox_entry(quicker))
            return await super().save(watch, entry, epoch=epoch)

    store = Slow((await open_storage(tmp_path)).watches._database)
    watch = make_watch(server=GONE)
    await store.add(watch)
    assert await end_abandoned(store, lambda _: True, reason=REASON, now=watch.created_at + 1) == 0
    assert len(await store.unseen(alice)) == 1
    await store.close()


def test_a_watch_that_has_ended_is_not_lost_any_more(make_watch: Callable[..., Watch]) -> None:
    ended = state_machine.lose(make_watch(), reason=REASON, now=1.0).watch
    assert state_machine.lose(ended, reason="again", now=2.0).watch is ended
