"""What was done to tell of ends besides the inbox."""

from collections.abc import Callable

import pytest

from tests.storage.test_contract import DAY, NOW, end
from tests.support.clock import still_clock
from tp_mcp.errors import StoreBusyError
from tp_mcp.watch.delivery.delivery_log import OUTCOME_MAX_CHARACTERS, Channel, Deliveries, Delivery
from tp_mcp.watch.model.watch import Watch
from tp_mcp.watch.store import Store

MakeWatch = Callable[..., Watch]


async def test_tries_are_counted_by_channel_and_the_latest_outcome_is_kept(store: Store, make_watch: MakeWatch) -> None:
    watch, other = make_watch("1"), make_watch("2")
    await store.add(watch)
    await store.add(other)
    deliveries = Deliveries(store=store, clock=still_clock())
    await deliveries.record(watch.id, Channel.WEBHOOK, "answered 500")
    await deliveries.record(watch.id, Channel.SUBSCRIPTION, "sent")
    await deliveries.record(watch.id, Channel.WEBHOOK, "answered 200")
    await deliveries.record(other.id, Channel.TASK, "completed")
    assert await deliveries.of([watch.id]) == {
        watch.id: (
            Delivery(watch.id, "webhook", "answered 200", NOW, times=2),
            Delivery(watch.id, "subscription", "sent", NOW),
        )
    }
    assert set(await deliveries.of([watch.id, other.id, "w_00000000"])) == {watch.id, other.id}


async def test_an_outcome_is_one_short_line(store: Store, make_watch: MakeWatch) -> None:
    watch = make_watch("1")
    await store.add(watch)
    deliveries = Deliveries(store=store, clock=still_clock())
    await deliveries.record(watch.id, Channel.WEBHOOK, "a\nb" * 1_000)
    [delivery] = (await deliveries.of([watch.id]))[watch.id]
    assert len(delivery.outcome) <= OUTCOME_MAX_CHARACTERS
    assert "\n" not in delivery.outcome


async def test_what_is_recorded_goes_with_its_watch(store: Store, make_watch: MakeWatch) -> None:
    watch = make_watch("1")
    await end(store, watch)
    await store.record_delivery(Delivery(watch.id, "webhook", "sent", NOW))
    await store.record_delivery(Delivery("w_00000000", "webhook", "sent", NOW))
    assert await store.deliveries(["w_00000000"]) == ()
    assert await store.purge(ended_before=NOW + DAY, unseen_before=NOW + DAY) == 1
    assert await store.deliveries([watch.id]) == ()


async def test_what_cannot_be_recorded_is_logged(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def busy(_: Delivery) -> None:
        raise StoreBusyError("The store is busy.")

    monkeypatch.setattr(store, "record_delivery", busy)
    await Deliveries(store=store, clock=still_clock()).record("w_00000000", Channel.TASK, "sent")
    assert "could not be recorded" in caplog.text
