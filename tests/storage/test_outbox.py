"""Events on their way: written with what they tell of, claimed by one process at a time, dropped once they arrived."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tp_mcp.errors import StoreError
from tp_mcp.storage.opening import Storage, open_storage
from tp_mcp.watch.delivery.messages import inbox_entry
from tp_mcp.watch.delivery.outbox import EventKind, Outgoing, new_event_id
from tp_mcp.watch.lifecycle import state_machine
from tp_mcp.watch.model.reading import Interpretation, Reading, Verdict
from tp_mcp.watch.model.watch import InboxEntry, Watch

NOW = 1_780_000_000.0
MakeWatch = Callable[..., Watch]


def event(watch_id: str = "w_1", kind: EventKind = EventKind.END, at: float = NOW, endpoint: str = "chat") -> Outgoing:
    return Outgoing(new_event_id(), endpoint, kind, watch_id, f'{{"of":"{watch_id}"}}', created_at=at)


def of_end(watch: Watch, entry: InboxEntry) -> list[Outgoing]:
    return [event(watch.id, at=entry.created_at)]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Storage]:
    opened = await open_storage(tmp_path / "state", events_of_end=of_end)
    yield opened
    await opened.close()


async def claimed(store: Storage, now: float = NOW, endpoint: str = "chat") -> Outgoing | None:
    return await store.outbox.claim(endpoint, now=now, until=now + 60)


async def ended(store: Storage, watch: Watch) -> Watch:
    await store.watches.add(watch)
    interpretation = Interpretation(Reading(Verdict.DONE, "Done"), memory=None)
    step = state_machine.observe_answer(watch, interpretation, {}, now=NOW)
    assert await store.watches.save(step.watch, inbox_entry(step)) is not None
    return step.watch


async def test_the_events_of_an_end_are_written_with_it_or_not_at_all(store: Storage, make_watch: MakeWatch) -> None:
    watch = await ended(store, make_watch())
    found = await claimed(store)
    assert found is not None
    assert found.watch_id == watch.id
    # The same end again: its entry is there already, and neither is written.
    outdated = replace(watch, revision=watch.revision + 1)
    step_entry = InboxEntry(watch.id, watch.owner, "again", watch.job, NOW)
    with pytest.raises(StoreError):
        await store.watches.save(outdated, step_entry)
    await store.outbox.arrived(found.id)
    assert await claimed(store, NOW + 999) is None


async def test_an_end_that_is_written_with_a_new_watch_has_its_events_too(
    store: Storage, make_watch: MakeWatch
) -> None:
    step = state_machine.cancel(make_watch(), reason="It was refused.", now=NOW)
    entry = InboxEntry(step.watch.id, step.watch.owner, "text", step.watch.job, NOW)
    await store.watches.add(step.watch, entry)
    found = await claimed(store)
    assert found is not None
    assert found.watch_id == step.watch.id


async def test_an_event_is_one_processs_until_its_claim_is_over(store: Storage, tmp_path: Path) -> None:
    other = await open_storage(tmp_path / "state")
    sent = event()
    await store.outbox.queue([sent])
    assert await claimed(store) == sent
    assert await claimed(other) is None
    assert await claimed(other, NOW + 59) is None
    assert await claimed(other, NOW + 60) == sent
    await other.close()


async def test_of_processes_that_look_at_once_one_gets_an_event(store: Storage, tmp_path: Path) -> None:
    other = await open_storage(tmp_path / "state")
    for number in range(20):
        await store.outbox.queue([event(f"w_{number}")])
        both = await asyncio.gather(claimed(store), claimed(other))
        assert sum(found is not None for found in both) == 1
    await other.close()


async def test_events_are_claimed_by_endpoint_in_the_order_in_which_they_are_due(store: Storage) -> None:
    late, early, others = event("w_1", at=NOW - 1), event("w_2", at=NOW - 2), event("w_3", endpoint="other")
    await store.outbox.queue([late, early, others])
    assert [await claimed(store), await claimed(store), await claimed(store)] == [early, late, None]
    assert await claimed(store, endpoint="other") == others


async def test_a_failed_attempt_is_counted_and_the_event_due_again_at_its_time(store: Storage) -> None:
    sent = event()
    await store.outbox.queue([sent])
    await claimed(store)
    await store.outbox.retry(sent.id, at=NOW + 7)
    assert await claimed(store, NOW + 6) is None
    assert await claimed(store, NOW + 7) == replace(sent, attempts=1)


async def test_newer_progress_takes_the_place_of_older_and_an_end_that_of_both(
    store: Storage, make_watch: MakeWatch
) -> None:
    watch = make_watch()
    older, newer = (event(watch.id, EventKind.PROGRESS, at=NOW + number) for number in range(2))
    other = event("w_other", EventKind.PROGRESS, at=NOW + 50)
    await store.outbox.queue([older, other])
    await claimed(store)
    await store.outbox.retry(older.id, at=NOW + 500)
    await store.outbox.queue([newer])
    # What comes of sending the older one no longer concerns anything.
    await store.outbox.arrived(older.id)
    assert await claimed(store, NOW + 1) == newer
    await ended(store, watch)
    await store.outbox.queue([event(watch.id, EventKind.PROGRESS, at=NOW + 2)])
    kinds = [(found.watch_id, found.kind) for _ in range(2) if (found := await claimed(store, NOW + 400))]
    assert kinds == [(watch.id, EventKind.END), ("w_other", EventKind.PROGRESS)]
    assert await claimed(store, NOW + 401) is None


async def test_progress_that_waits_is_not_sent_once_the_job_has_ended(store: Storage, make_watch: MakeWatch) -> None:
    watch = make_watch()
    await store.outbox.queue([event(watch.id, EventKind.PROGRESS)])
    await ended(store, watch)
    found = await claimed(store, NOW + 1)
    assert found is not None
    assert found.kind is EventKind.END
    assert await claimed(store, NOW + 1) is None


async def test_events_for_endpoints_that_are_no_more_are_dropped_after_a_while(store: Storage) -> None:
    await store.outbox.queue([event("w_1", endpoint="gone"), event("w_2"), event("w_3", at=NOW + 9, endpoint="gone")])
    assert await store.outbox.drop_forgotten(["chat"], before=NOW + 5) == 1
    assert await claimed(store, NOW + 99) is not None
    found = await claimed(store, NOW + 99, endpoint="gone")
    assert found is not None
    assert found.watch_id == "w_3"
