"""What any store has to find of an inbox without reading all of it."""

from collections.abc import Callable

from tp_mcp.watch.delivery.inbox import LeastShown
from tp_mcp.watch.delivery.messages import inbox_entry
from tp_mcp.watch.lifecycle import state_machine
from tp_mcp.watch.model.reading import Interpretation, Outcome, Reading, Verdict
from tp_mcp.watch.model.watch import InboxEntry, Owner, Watch
from tp_mcp.watch.store import Store

NOW = 1_780_000_000.0
MakeWatch = Callable[..., Watch]


async def end(store: Store, watch: Watch, at: float) -> InboxEntry:
    await store.add(watch)
    interpretation = Interpretation(Reading(Verdict.DONE, "Done", outcome=Outcome.PASSED), memory=None)
    step = state_machine.observe_answer(watch, interpretation, {"status": "Done"}, now=at)
    entry = inbox_entry(step)
    assert entry is not None
    assert await store.save(step.watch, entry) is not None
    return entry


async def test_the_least_shown_of_the_newest_come_first_however_many_there_are(
    store: Store, make_watch: MakeWatch, alice: Owner
) -> None:
    entries = [await end(store, make_watch(str(number)), NOW + number) for number in range(5)]
    await store.count_showings([entries[4].watch_id])

    async def first(limit: int, *but_for: int) -> tuple[list[str], int]:
        found = await store.least_shown(alice, but_for=[entries[each].watch_id for each in but_for], limit=limit)
        return [entry.watch_id for entry in found.entries], found.total

    def ids(*numbers: int) -> list[str]:
        return [entries[number].watch_id for number in numbers]

    assert await first(10) == (ids(3, 2, 1, 0, 4), 5)
    assert await first(2) == (ids(3, 2), 5)
    assert await first(2, 3, 0) == (ids(2, 1), 3)
    assert await store.least_shown(Owner(alice.principal, "thread:2", exact=True), but_for=(), limit=2) == LeastShown(
        (), 0
    )


async def test_unseen_entries_are_found_by_watch_or_job(store: Store, make_watch: MakeWatch, alice: Owner) -> None:
    one, two, three = [await end(store, make_watch(str(number)), NOW + number) for number in range(3)]
    await store.mark_seen([two.watch_id], NOW + 70)

    async def found(*watch_ids: str, job: str | None = None) -> set[str]:
        return {entry.watch_id for entry in await store.unseen_of(alice, watch_ids=watch_ids, job=job)}

    assert await found() == set()
    assert await found(one.watch_id, two.watch_id, "w_00000000") == {one.watch_id}
    assert await found(one.watch_id, job=three.job) == {one.watch_id, three.watch_id}
