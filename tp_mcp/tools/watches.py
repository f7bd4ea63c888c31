"""Watches: list them, wait for them, cancel one, or hand one over to another conversation."""

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from tp_mcp.errors import InvalidArgumentError
from tp_mcp.jobs.kinds import kind_of
from tp_mcp.results.document import Document, ItemList, Paragraph
from tp_mcp.results.text import count_of, format_duration
from tp_mcp.tools.framework import wait, watch_documents
from tp_mcp.tools.framework.arguments import ToolArguments
from tp_mcp.tools.framework.definition import Call, ToolDefinition
from tp_mcp.tools.framework.wait import waited_to_begin
from tp_mcp.tools.framework.watch_documents import delivery_notes
from tp_mcp.tools.starts.chain_arguments import begun
from tp_mcp.watch.delivery import messages
from tp_mcp.watch.delivery.waiting import Awaited, Until, fingerprint_of
from tp_mcp.watch.model.watch import Owner, Watch, WatchState
from tp_mcp.watch.registry import LIST_LIMIT

WATCHES_TYPICAL_CHARACTERS = 4_000
"""About fifteen watches."""

DEFAULT_WAIT_SECONDS = 45
MAX_WATCHES = 20
"""How many watches one call may wait for."""

WATCH_ID_PATTERN = r"^w_[0-9a-z]{8}$"
CONVERSATION_PATTERN = r"^chat_[0-9a-f]{10}$"
UNENDED = (WatchState.STARTING, WatchState.ACTIVE)
ENDED = tuple(state for state in WatchState if state.ended)

WatchId = Annotated[str, Field(description="Id of a watch.", examples=["w_7k3m9q2d"], pattern=WATCH_ID_PATTERN)]


def _as_ids(value: object) -> object:
    ids = [value] if isinstance(value, str) else value
    if not isinstance(ids, list) or not all(isinstance(each, str) and re.match(WATCH_ID_PATTERN, each) for each in ids):
        raise PydanticCustomError("watch_ids", "not the ids of watches")
    return ids


class ListWatchesArguments(ToolArguments):
    """What `list_watches` takes."""

    state: Annotated[Literal["active", "ended", "all"], Field(description="State of the watches to list.")] = "all"
    all_conversations: Annotated[bool, Field(description="Include your other conversations.")] = False


class WaitForWatchArguments(ToolArguments):
    """Arguments of `wait_for_watch`."""

    watch_id: Annotated[
        tuple[str, ...],
        BeforeValidator(_as_ids),
        Field(
            description="Id of a watch, or several ids: the wait is over when the first one ends.",
            examples=["w_7k3m9q2d"],
            min_length=1,
            max_length=MAX_WATCHES,
        ),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
    ]
    max_wait_seconds: Annotated[
        float, Field(description="Seconds to wait (0: return immediately).", ge=0, allow_inf_nan=False)
    ] = DEFAULT_WAIT_SECONDS
    until: Annotated[
        Literal["terminal", "first_failure", "change"],
        Field(description="terminal: the end; first_failure: a failed test or device; change: any change."),
    ] = "terminal"


class CancelWatchArguments(ToolArguments):
    """What `cancel_watch` takes."""

    watch_id: WatchId


class HandOverWatchArguments(ToolArguments):
    """What `hand_over_watch` takes."""

    watch_id: Annotated[
        str,
        Field(description="Id of the watch.", examples=["w_7k3m9q2d"], pattern=r"^w_[0-9a-z]{8}$"),
    ]
    conversation: Annotated[
        str | None,
        Field(
            description="Conversation that takes the watch, as named by list_watches(all_conversations=true). "
            "Default: this conversation.",
            examples=["chat_0f3a91b2c4"],
            pattern=CONVERSATION_PATTERN,
        ),
    ] = None


async def list_watches(arguments: ListWatchesArguments, call: Call) -> Document:
    """List watches with their states."""
    registry = call.services.watches.registry
    states = {"active": UNENDED, "ended": ENDED, "all": tuple(WatchState)}[arguments.state]
    watches = await registry.list(call.owner, all_conversations=arguments.all_conversations, states=states)
    whose = "all your conversations" if arguments.all_conversations else "this conversation"
    if not watches:
        kind = "" if arguments.state == "all" else f"{arguments.state} "
        others = watch_documents.call_words("list_watches", all_conversations=True)
        hint = "" if arguments.all_conversations else f"{others} shows those of your other conversations too."
        return Document(f"There is no {kind}watch in {whose}.", next_step=hint)
    going_on = [watch for watch in watches if not watch.state.ended and registry.looks_at(watch)]
    now = call.services.clock.now()
    notes = await delivery_notes(watches, call, name_conversations=arguments.all_conversations)
    here = (Paragraph(f"This conversation is {call.owner.handle}."),) if arguments.all_conversations else ()
    # The registry returns no more than this, so there may be older ones.
    most = f" These are the newest {LIST_LIMIT}; older ones are not listed." if len(watches) == LIST_LIMIT else ""
    return Document(
        f"{count_of(len(watches), 'watch', 'watches')} in {whose}; {len(going_on)} going on.{most}",
        (
            *here,
            ItemList(
                heading="Newest first",
                items=tuple(
                    _line(watch, now, here=registry.looks_at(watch), note=notes.get(watch.id, "")) for watch in watches
                ),
                rest=f"{watch_documents.call_words('list_watches', state='active')} lists those that go on",
            ),
        ),
        f"{watch_documents.wait_call(going_on[0])} waits for the newest." if going_on else "",
    )


async def wait_for_watch(arguments: WaitForWatchArguments, call: Call) -> Document:
    """Wait for the first of some watches to end, or return their states."""
    services, registry, until = call.services, call.services.watches.registry, Until(arguments.until)
    wait.check_wait(arguments.max_wait_seconds, call)
    watch_ids = tuple(dict.fromkeys(arguments.watch_id))
    await services.watches.inbox.name(call.visit, watch_ids=watch_ids)
    max_wait_seconds = arguments.max_wait_seconds
    if len(watch_ids) == 1 and not call.detached:
        max_wait_seconds = await waited_to_begin(watch_ids[0], call, max_wait_seconds)
    before = [await begun(watch_id, call) for watch_id in watch_ids]
    here = [watch.id for watch in before if watch.state.ended or registry.looks_at(watch)]
    if not here:
        return watch_documents.elsewhere(before[0])
    if arguments.max_wait_seconds:
        call.awaits.append(Awaited(tuple(watch for watch in before if watch.id in here), until))
    seconds = 0.0 if call.detached else max_wait_seconds
    waited = await registry.wait_for_first(here, call.owner, seconds=seconds, until=until, report=call.report)
    after = {watch.id: watch for watch in await services.results.recorder.briefed(waited)}
    latest = [after.get(watch.id, watch) for watch in before]
    return wait.wait_document([fingerprint_of(watch) for watch in before], latest, call, seconds=seconds, until=until)


async def cancel_watch(arguments: CancelWatchArguments, call: Call) -> Document:
    """Stop watching; the job goes on."""
    services = call.services
    watch = await begun(arguments.watch_id, call)
    await services.watches.inbox.name(call.visit, watch_ids=[watch.id])
    if watch.state.ended:
        call.visit.reported.add(watch.id)
        return Document(
            f"[{watch.id}] had ended already; nothing was cancelled.",
            (Paragraph(messages.end_message(watch)),),
            watch_documents.next_step(watch),
        )
    watch = await services.watches.registry.cancel(watch.id, call.owner, reason="Cancelled by the conversation.")
    if watch.state is not WatchState.CANCELLED:
        # The job ended before the cancellation.
        call.visit.reported.add(watch.id)
        return watch_documents.ended(watch)
    kind = kind_of(watch)
    if not services.watches.registry.looks_at(watch):
        # On this server's TP the same number is another job.
        step = f"It belongs to the TP at {watch.server}."
    else:
        step = "" if kind is None else kind.after_cancelled_watch(watch)
    chained = " Its next steps are cancelled too." if watch.chain is not None and watch.chain.links else ""
    cancelled = f"{messages.headline(watch)}. The job goes on, and its end will not be reported.{chained}"
    return Document(cancelled, next_step=step)


def _line(watch: Watch, now: float, *, here: bool, note: str) -> str:
    if not here:
        return watch_documents.elsewhere_line(watch)
    if not watch.state.ended:
        progress = messages.progress_line(watch, now)
        return f"{messages.headline(watch)} ({progress}{note}): {watch_documents.wait_call(watch)}"
    # One that has ended has elapsed no further than its end.
    ago = format_duration(now - watch.since - watch.elapsed(now))
    look = watch_documents.look_call(watch)
    ended = f"{messages.headline(watch)} ({ago} ago, after {format_duration(watch.elapsed(now))}{note})"
    if watch.chain is not None and watch.chain.next is not None:
        # Before the next step has a row, only this shows that the chain continues.
        following = watch_documents.call_words("wait_for_watch", watch_id=watch.chain.next.id)
        return f"{ended}; next in its chain, by itself: {following}"
    return f"{ended}: {look}" if look else ended


async def hand_over_watch(arguments: HandOverWatchArguments, call: Call) -> Document:
    """Move a watch to another conversation."""
    services = call.services
    before = await services.watches.registry.get(arguments.watch_id, call.owner)
    to = await _conversation(arguments.conversation, call)
    whose = "this conversation" if to == call.owner else f"conversation {to.handle}"
    if before.owner == to:
        return Document(f"[{before.id}] belongs to {whose} already; nothing was changed.")
    watch = await services.watches.registry.hand_over(before.id, to)
    entries = await services.watches.store.entries([watch.id])
    moved = f"{messages.headline(watch)}. It belongs to {whose} now, and no longer to {before.owner.handle}."
    if not watch.state.ended:
        end_words = "Its end will be reported there."
    elif any(entry.seen_at is None for entry in entries):
        end_words = "Its end was not seen yet and will be reported there."
    else:
        end_words = "Its end was already seen and is not reported again."
    return Document(
        moved, (Paragraph(end_words),), f"In that conversation, {watch_documents.wait_call(watch)} shows it."
    )


async def _conversation(handle: str | None, call: Call) -> Owner:
    if handle is None or handle == call.owner.handle:
        return call.owner
    there_are = await call.services.watches.store.conversations(call.owner.principal)
    for conversation in there_are:
        if conversation.handle == handle:
            return conversation
    others = ", ".join(each.handle for each in there_are[:10]) or "none that has a watch"
    raise InvalidArgumentError(
        f"hand_over_watch was not called: there is no conversation {handle} of yours that has a watch.",
        remedy=f"There are: {others}. Or call it in the conversation that shall get the watch, without `conversation`.",
    )


TOOLS = (
    ToolDefinition(
        name="list_watches",
        title="List watches",
        description=(
            "List this conversation's watches (all jobs started or watched here) with state, progress and outcome. "
            "Use it to find the id of a watch."
        ),
        arguments=ListWatchesArguments,
        run=list_watches,
        read_only=True,
        typical_characters=WATCHES_TYPICAL_CHARACTERS,
    ),
    ToolDefinition(
        name="wait_for_watch",
        title="Wait for a watch",
        description=(
            "Wait for a watch to end, and report its progress. Reaching max_wait_seconds (at most 240) is normal: the "
            'result shows the current progress, and the job goes on. Example: {"watch_id": "w_7k3m9q2d"}'
        ),
        arguments=WaitForWatchArguments,
        run=wait_for_watch,
        read_only=True,
        awaits=True,
    ),
    ToolDefinition(
        name="cancel_watch",
        title="Stop watching",
        description="Stop watching a job. The job itself continues on TP; its end is no longer reported.",
        arguments=CancelWatchArguments,
        run=cancel_watch,
        read_only=False,
        idempotent=True,
    ),
)

MORE_TOOLS = (
    ToolDefinition(
        name="hand_over_watch",
        title="Hand a watch over",
        description=(
            "Move a watch from another of your conversations to this one, so that its end is reported here, or to a "
            "conversation named by list_watches(all_conversations=true). The job is not affected."
        ),
        arguments=HandOverWatchArguments,
        run=hand_over_watch,
        read_only=False,
        idempotent=True,
    ),
)
"""The toolset `watches`."""
