"""The ends of watches on the results of a conversation: shown until seen, within limits."""

import pytest
from pydantic import SecretStr

from tests.server.conftest import IDENTITY, Chat, Connect
from tests.support.process import LAB
from tp_mcp.errors import TpMcpError
from tp_mcp.redaction import Redactor
from tp_mcp.results.document import Document, LogExcerpt
from tp_mcp.results.limits import ERROR_MAX_CHARACTERS, INBOX_MAX_CHARACTERS, RESULT_MAX_BYTES, RESULT_MAX_CHARACTERS
from tp_mcp.server.identity import ProcessIdentity
from tp_mcp.server.rendering import INBOX_CUT, INBOX_HEADING, inbox_text, kept_text
from tp_mcp.watch.model.watch import InboxEntry, Owner

BUILD = {"testbed": LAB, "mode": "build", "build_number": "6955"}
WIDE = "\N{PILE OF POO}"


def entry(number: int, text: str) -> InboxEntry:
    return InboxEntry(f"w_{number:08}", Owner("p", "c", exact=True), text, f"job:{number}", 0.0)


async def upgraded(chat: Chat) -> str:
    """Start an upgrade and let it end; return the watch's id."""
    watch_id = (await chat.call("start_upgrade", **BUILD))[1:11]
    await chat.world.advance(400)
    return watch_id


async def test_an_end_is_told_at_the_end_of_the_next_result_of_any_tool(chat: Chat) -> None:
    watch_id = await upgraded(chat)
    text = await chat.call("list_labs")
    body, _, inbox = text.partition(f"\n\n{INBOX_HEADING}\n")
    assert body.startswith("4 labs")
    assert inbox.startswith(f"[{watch_id}] upgrade of {LAB} to build 6955 is done, after ")


async def test_an_end_is_told_on_an_error_too(chat: Chat) -> None:
    watch_id = await upgraded(chat)
    text = await chat.refused("get_execution", exec_id=0)
    assert text.startswith("get_execution was not called")
    assert f"{INBOX_HEADING}\n[{watch_id}]" in text


async def test_an_end_is_told_where_there_is_no_such_tool(chat: Chat) -> None:
    watch_id = await upgraded(chat)
    text = await chat.refused("get_upgrades")
    assert text.startswith("There is no tool 'get_upgrades'.\n\nDid you mean get_upgrade or start_upgrade?")
    assert f"{INBOX_HEADING}\n[{watch_id}]" in text


async def test_an_end_is_told_twice_and_then_counts_as_seen(chat: Chat) -> None:
    await upgraded(chat)
    shown = [INBOX_HEADING in await chat.call("list_labs") for _ in range(4)]
    assert shown == [True, True, False, False]


SHARED_KEY = ProcessIdentity(principal="local:alice", conversation=None, project="/home/alice/project")


async def test_on_a_shared_key_a_call_that_names_the_run_counts_as_having_seen_its_end(connect: Connect) -> None:
    async with connect(identity=SHARED_KEY) as chat:
        started = await chat.call("run_pytest", lab=LAB, testcase=["Tests_CLI/test_poe.py"])
        exec_id = int(started.split("(execution ")[1].split(")", maxsplit=1)[0])
        await chat.world.run_to_its_end(exec_id)
        assert INBOX_HEADING in await chat.call("list_labs")
        assert INBOX_HEADING not in await chat.call("get_execution", exec_id=exec_id)


async def test_a_call_that_names_the_job_counts_as_having_seen_its_end(chat: Chat) -> None:
    await upgraded(chat)
    assert INBOX_HEADING in await chat.call("list_labs")
    assert INBOX_HEADING not in await chat.call("get_upgrade", testbed=LAB)
    assert INBOX_HEADING not in await chat.call("list_labs")


async def test_an_end_that_the_result_itself_tells_is_not_appended_to_it(chat: Chat) -> None:
    watch_id = await upgraded(chat)
    text = await chat.call("wait_for_watch", watch_id=watch_id)
    assert "is done" in text
    assert INBOX_HEADING not in text
    assert INBOX_HEADING in await chat.call("list_labs"), "the client may have dropped the result that told it"
    assert INBOX_HEADING not in await chat.call("list_labs")


async def test_a_call_that_names_a_watch_after_its_end_was_told_has_seen_it(chat: Chat) -> None:
    watch_id = await upgraded(chat)
    await chat.call("wait_for_watch", watch_id=watch_id)
    assert INBOX_HEADING not in await chat.call("get_upgrade", testbed=LAB)
    assert INBOX_HEADING not in await chat.call("list_labs")


async def test_an_end_is_told_only_in_the_conversation_that_asked(connect: Connect) -> None:
    async with connect() as chat:
        await upgraded(chat)
    async with connect(identity=IDENTITY.__class__("local:alice", "chat-2", IDENTITY.project)) as other:
        assert INBOX_HEADING not in await other.call("list_labs")
    async with connect() as again:
        assert INBOX_HEADING in await again.call("list_labs")


async def test_many_ends_are_counted_beyond_the_first_five(chat: Chat) -> None:
    await chat.call("start_upgrade", **BUILD)
    await chat.world.advance(60)
    for number in range(7):
        await chat.call("start_watch", tool="get_upgrade", args={"testbed": LAB}, message=f"Number {number}.")
    await chat.world.advance(400)
    text = await chat.call("list_labs")
    assert text.endswith('\n+3 more: list_watches(state="ended")')
    assert text.partition(INBOX_HEADING)[2].count("\n[w_") == 5


def test_no_entry_makes_no_inbox() -> None:
    assert inbox_text([], Redactor()) == ("", ())


async def kept(_: str) -> str:
    return "r_0"


@pytest.mark.parametrize("count", [1, 2, 5, 6, 40])
@pytest.mark.parametrize("letter", ["x", WIDE, "\n", "\ud800"])
async def test_monstrous_ends_keep_the_limits_of_the_inbox_and_of_what_it_is_appended_to(
    count: int, letter: str
) -> None:
    inbox, shown = inbox_text(
        [entry(number, f"[w_{number:08}] {letter * 20_000}") for number in range(count)], Redactor()
    )
    assert len(inbox) <= INBOX_MAX_CHARACTERS
    assert len(shown) == min(count, 5)
    assert inbox.startswith(f"{INBOX_HEADING}\n[w_00000000] ")
    if letter != "\n":
        assert INBOX_CUT in inbox
    if count > 5:
        assert inbox.endswith(f'\n+{count - 5} more: list_watches(state="ended")')
    document = Document("Conclusion.", (LogExcerpt(heading="Log", text=letter * 200_000),), "Next step.")
    text = await kept_text(document, inbox, Redactor(), max_characters=RESULT_MAX_CHARACTERS, keep=kept)
    assert text.startswith("Conclusion.")
    cut = "" if letter == "\n" else 'read_result(handle="r_0") has the whole.]'
    assert ("\n\nNext step.\n\n[Shown: " in text) == bool(cut)
    assert text.endswith(f"{cut}\n\n{inbox}")
    assert len(text) <= RESULT_MAX_CHARACTERS
    assert len(text.encode()) <= RESULT_MAX_BYTES
    error = await kept_text(
        TpMcpError(f"{letter * 50_000}Z", remedy="Mend it."), inbox, Redactor(), max_characters=800, keep=kept
    )
    assert "Z\n\nMend it." in error
    assert error.endswith(f"\n\n{inbox}")
    assert len(error) <= ERROR_MAX_CHARACTERS
    assert len(error.encode()) <= RESULT_MAX_BYTES


def test_short_ends_leave_their_room_to_long_ones() -> None:
    long = "y" * 1_000
    inbox, _ = inbox_text([entry(0, "short"), entry(1, long), entry(2, "short")], Redactor())
    assert long in inbox
    assert INBOX_CUT not in inbox


def test_a_secret_goes_before_an_end_is_cut_so_that_no_half_of_it_is_shown() -> None:
    secret = "hunter2000" * 300
    inbox, _ = inbox_text([entry(0, f"{secret} {'x' * 20_000} {secret}")], Redactor((SecretStr(secret),)))
    assert "hunter2000" not in inbox
    assert "[redacted]" in inbox


def test_control_characters_of_an_end_do_not_reach_the_reader() -> None:
    inbox, _ = inbox_text([entry(0, "a\x1b[31mred\x07\u202e")], Redactor())
    assert inbox == f"{INBOX_HEADING}\nared"
