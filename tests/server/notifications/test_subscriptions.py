"""Clients that asked for it are told of changes, on both eras; pushes are private, paced, and no showings."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mcp import MCPError
from mcp.types import LoggingMessageNotification, ResourceUpdatedNotification

from tests.server.conftest import IDENTITY, Chat, Connect
from tests.support.patience import PATIENCE_SECONDS
from tests.support.process import LAB
from tp_mcp.errors import StoreError
from tp_mcp.server.identity import ProcessIdentity
from tp_mcp.server.notifications import handshake_sessions as sessions_module
from tp_mcp.server.notifications import listen_streams as streams_module
from tp_mcp.server.notifications import publisher as pushes_module
from tp_mcp.server.notifications.publisher import PROGRESS_SECONDS
from tp_mcp.server.rendering import INBOX_HEADING
from tp_mcp.storage.opening import open_storage
from tp_mcp.watch.delivery.change_feed import SUBSCRIBED_SECONDS
from tp_mcp.watch.delivery.messages import inbox_entry
from tp_mcp.watch.lifecycle import state_machine

pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")

BUILD = {"testbed": LAB, "mode": "build", "build_number": "6955"}
INBOX = "tp://inbox"
BOB = ProcessIdentity("local:bob", IDENTITY.conversation, IDENTITY.project)
OTHER_CHAT = ProcessIdentity("local:alice", "chat-2", IDENTITY.project)


@dataclass
class Told:
    """A client, and what it was told without asking."""

    chat: Chat
    mode: str
    updates: list[str] = field(default_factory=list)
    logs: list[tuple[str, str]] = field(default_factory=list)
    listening: list[asyncio.Task[None]] = field(default_factory=list)

    async def heard(self, message: Any) -> None:
        # What comes on a stream is told here as well.
        if isinstance(message, ResourceUpdatedNotification) and self.mode == "legacy":
            self.updates.append(str(message.params.uri))
        elif isinstance(message, LoggingMessageNotification):
            self.logs.append((message.params.level, str(message.params.data)))

    async def subscribe(self, *uris: str) -> list[str]:
        """Ask to be told of resources; return those that it will be."""
        if self.mode == "legacy":
            for uri in uris:
                await self.chat.client.subscribe_resource(uri)
            return list(uris)
        honoured: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()

        async def listen() -> None:
            async with self.chat.client.listen(resource_subscriptions=uris) as stream:
                honoured.set_result(list(stream.honored.resource_subscriptions or ()))
                async for event in stream:
                    self.updates.append(getattr(event, "uri", ""))

        self.listening.append(asyncio.create_task(listen()))
        return await honoured

    async def until(self, *uris: str) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not set(uris) <= set(self.updates):
                await asyncio.sleep(0.005)

    async def quiet(self) -> None:
        """Return once whatever is on its way has arrived: a call goes behind it."""
        for _ in range(50):
            await asyncio.sleep(0)
        await self.chat.client.list_tools()


@asynccontextmanager
async def told(connect: Connect, mode: str, **options: Any) -> AsyncIterator[Told]:
    client: list[Told] = []

    async def heard(message: Any) -> None:
        await client[0].heard(message)

    async with connect(mode=mode, message_handler=heard, **options) as chat:
        client.append(Told(chat, mode))
        try:
            yield client[0]
        finally:
            for task in client[0].listening:
                task.cancel()


async def started(chat: Chat) -> str:
    return (await chat.call("start_upgrade", **BUILD))[1:11]


@pytest.fixture(params=["legacy", "auto"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_an_end_is_pushed_for_its_watch_and_for_the_inbox(connect: Connect, mode: str) -> None:
    async with told(connect, mode) as client:
        watch_id = await started(client.chat)
        uris = [f"tp://watches/{watch_id}", INBOX]
        assert await client.subscribe(*uris) == uris
        await client.chat.world.advance(400)
        await client.until(*uris)
        assert client.updates.count(INBOX) == 1
        await client.quiet()
        recorded = await client.chat.world.services.watches.deliveries.of([watch_id])
        channels = {delivery.channel for delivery in recorded[watch_id]}
        assert channels == ({"subscription", "log message"} if mode == "legacy" else {"subscription"})


async def test_a_session_is_told_each_end_once_in_a_log_message_and_a_newer_client_never(
    connect: Connect, mode: str
) -> None:
    async with told(connect, mode) as client:
        watch_id = await started(client.chat)
        await client.subscribe(INBOX)
        await client.chat.world.advance(400)
        await client.until(INBOX)
        await client.chat.world.advance(60)
        await client.quiet()
        logged = [(level, text.partition(" ")[0]) for level, text in client.logs]
        assert logged == ([("info", f"[{watch_id}]")] if mode == "legacy" else [])


async def test_a_session_without_a_subscription_is_told_ends_of_its_own_conversation_alone(connect: Connect) -> None:
    async with (
        told(connect, "legacy") as client,
        told(connect, "legacy", identity=OTHER_CHAT) as other,
        told(connect, "legacy", identity=BOB) as bob,
    ):
        for each in (other, bob):
            await each.chat.call("list_labs")
        await started(client.chat)
        await client.chat.world.advance(400)
        for each in (client, other, bob):
            await each.quiet()
        assert [len(each.logs) for each in (client, other, bob)] == [1, 0, 0]


async def test_a_session_says_how_grave_a_log_message_has_to_be(connect: Connect) -> None:
    async with told(connect, "legacy") as client:
        await client.chat.client.set_logging_level("warning")
        await started(client.chat)
        await client.chat.world.advance(400)
        await client.quiet()
        assert client.logs == []
        never = {"path": "[0].name", "equals": "no such lab"}
        await client.chat.call("start_watch", tool="list_labs", done_match=never, timeout_sec=60)
        await client.chat.world.advance(120)
        await client.quiet()
        assert [level for level, _ in client.logs] == ["warning"]


async def test_an_end_that_another_process_wrote_is_pushed_too(connect: Connect, mode: str, tmp_path: Path) -> None:
    async with told(connect, mode) as client:
        watch_id = await started(client.chat)
        await client.subscribe(INBOX)
        await client.chat.world.advance(2 * SUBSCRIBED_SECONDS)
        elsewhere = (await open_storage(tmp_path)).watches
        watch = await elsewhere.get(watch_id)
        assert watch is not None
        step = state_machine.refuse(
            watch, reason="Another process saw its end.", now=client.chat.world.services.clock.now()
        )
        assert await elsewhere.save(step.watch, inbox_entry(step)) is not None
        await elsewhere.close()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while INBOX not in client.updates:
                await client.chat.world.advance(SUBSCRIBED_SECONDS / 4)
                await asyncio.sleep(0.005)
        await client.quiet()
        assert client.updates == [INBOX]
        assert ["Another process" in text for _, text in client.logs] == ([True] if mode == "legacy" else [])


async def test_an_end_that_cannot_be_worded_costs_its_log_message_alone(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: object) -> str:
        raise RuntimeError("unforeseen")

    async with told(connect, "legacy") as client:
        watch_id = await started(client.chat)
        await client.subscribe(INBOX)
        monkeypatch.setattr(pushes_module, "messages", SimpleNamespace(end_message=broken))
        await client.chat.world.advance(400)
        await client.until(INBOX)
        await client.quiet()
        assert client.logs == []
        assert f"The end of {watch_id} was not sent to any session" in caplog.text


async def test_a_resource_that_cannot_be_read_now_cannot_be_listened_to_and_why_is_said(connect: Connect) -> None:
    async with told(connect, "auto") as client:
        await client.chat.call("list_labs")
        store = client.chat.world.services.watches.inbox._store

        async def full(*_: object, **__: object) -> None:
            raise StoreError("The disk is gone.")

        client.chat.world.services.watches.inbox._store = cast("Any", SimpleNamespace(unseen=full, least_shown=full))
        with pytest.raises(MCPError, match="The disk is gone"):
            async with client.chat.client.listen(resource_subscriptions=[INBOX]):
                pass
        client.chat.world.services.watches.inbox._store = store


async def test_what_was_unsubscribed_is_told_no_more(connect: Connect) -> None:
    async with told(connect, "legacy") as client:
        await client.subscribe(INBOX)
        await client.chat.client.unsubscribe_resource(INBOX)
        await started(client.chat)
        await client.chat.world.advance(400)
        await client.quiet()
        assert client.updates == []
        assert len(client.logs) == 1


async def test_pushes_are_no_showings(connect: Connect, mode: str) -> None:
    async with told(connect, mode) as client:
        watch_id = await started(client.chat)
        await client.subscribe(f"tp://watches/{watch_id}", INBOX)
        await client.chat.world.advance(400)
        await client.until(INBOX)
        await client.chat.client.read_resource(INBOX)
        shown = [INBOX_HEADING in await client.chat.call("list_labs") for _ in range(3)]
        assert shown == [True, True, False]


async def test_progress_is_pushed_no_more_often_than_a_person_follows(connect: Connect, mode: str) -> None:
    async with told(connect, mode) as client:
        watch_id = await started(client.chat)
        uri = f"tp://watches/{watch_id}"
        await client.subscribe(uri)
        # Somebody asks for the same job much more often.
        await client.chat.call("start_watch", tool="get_upgrade", args={"testbed": LAB}, interval_sec=5)
        took, step = 200.0, 2.5
        seen = 0
        for _ in range(int(took / step)):
            await client.chat.world.advance(step)
            await client.quiet()
            assert len(client.updates) - seen <= 1
            seen = len(client.updates)
        assert 1 <= seen <= took / PROGRESS_SECONDS + 1


async def test_another_principals_watch_is_as_missing_as_one_that_never_was(connect: Connect, mode: str) -> None:
    async with told(connect, mode) as alice, told(connect, mode, identity=BOB) as bob:
        theirs = f"tp://watches/{await started(alice.chat)}"
        nobodys = "tp://watches/w_00000000"
        if mode == "legacy":
            words = set()
            for uri in (theirs, nobodys):
                with pytest.raises(MCPError) as caught:
                    await bob.subscribe(uri)
                words.add((caught.value.code, caught.value.message.replace(theirs[-10:], "w_00000000")))
            assert len(words) == 1
            assert await bob.subscribe(INBOX) == [INBOX]
        else:
            assert await bob.subscribe(theirs, nobodys, INBOX, "tp://nothing") == [INBOX]
        await alice.subscribe(theirs, INBOX)
        await alice.chat.world.advance(400)
        await alice.until(theirs, INBOX)
        await bob.quiet()
        assert bob.updates == []


async def test_another_conversation_of_the_same_principal_hears_of_the_watch_but_not_of_the_inbox(
    connect: Connect, mode: str
) -> None:
    async with told(connect, mode) as client, told(connect, mode, identity=OTHER_CHAT) as other:
        uri = f"tp://watches/{await started(client.chat)}"
        assert await other.subscribe(uri, INBOX) == [uri, INBOX]
        await client.subscribe(INBOX)
        await client.chat.world.advance(400)
        await other.until(uri)
        await client.until(INBOX)
        await other.quiet()
        assert INBOX not in other.updates


async def test_a_start_that_was_refused_is_told_by_its_call_alone(connect: Connect, mode: str) -> None:
    async with told(connect, mode) as client:
        await client.subscribe(INBOX)
        client.chat.world.fault("start_upgrade", status=400)
        await client.chat.refused("start_upgrade", **BUILD)
        await client.quiet()
        assert client.updates == []
        assert client.logs == []


async def test_a_watch_that_the_conversation_cancels_is_no_news_in_its_inbox(connect: Connect, mode: str) -> None:
    async with told(connect, mode) as client:
        watch_id = await started(client.chat)
        await client.subscribe(f"tp://watches/{watch_id}", INBOX)
        await client.chat.call("cancel_watch", watch_id=watch_id)
        await client.until(f"tp://watches/{watch_id}")
        await client.quiet()
        assert INBOX not in client.updates
        assert client.logs == []


async def test_a_session_may_subscribe_to_so_much_and_no_more(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions_module, "MAX_SUBSCRIPTIONS", 1)
    async with told(connect, "legacy") as client:
        watch_id = await started(client.chat)
        await client.subscribe(INBOX, INBOX)
        with pytest.raises(MCPError, match="at most"):
            await client.subscribe(f"tp://watches/{watch_id}")


async def test_a_principal_may_open_so_many_streams_and_another_one_still_has_its_own(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams_module, "MAX_STREAMS_OF_PRINCIPAL", 1)
    async with told(connect, "auto") as alice:
        await alice.subscribe(INBOX)
        with pytest.raises(MCPError, match="too many listen streams"):
            async with alice.chat.client.listen(resource_subscriptions=[INBOX]):
                pass
        for task in alice.listening:
            task.cancel()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    async with alice.chat.client.listen(resource_subscriptions=[INBOX]):
                        break
                except MCPError:
                    await asyncio.sleep(0.01)
