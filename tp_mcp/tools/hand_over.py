"""Conversations: giving one a watch of another."""

from typing import Annotated

from pydantic import Field

from tp_mcp.errors import InvalidArgumentError
from tp_mcp.results.document import Document, Paragraph
from tp_mcp.tools.framework import watch_documents
from tp_mcp.tools.framework.definition import Call, ToolArguments, ToolDefinition
from tp_mcp.watch.delivery import messages
from tp_mcp.watch.model.watch import Owner

CONVERSATION_PATTERN = r"^chat_[0-9a-f]{10}$"


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


async def hand_over_watch(arguments: HandOverWatchArguments, call: Call) -> Document:
    """Let a watch belong to another conversation, and say what went with it."""
    services = call.services
    before = await services.registry.get(arguments.watch_id, call.owner)
    to = await _conversation(arguments.conversation, call)
    whose = "this conversation" if to == call.owner else f"conversation {to.handle}"
    if before.owner == to:
        return Document(f"[{before.id}] belongs to {whose} already; nothing was changed.")
    watch = await services.conversations.hand_over(before.id, to)
    end = (await services.conversations.ends([watch.id])).get(watch.id)
    moved = f"{messages.headline(watch)}. It belongs to {whose} now, and no longer to {before.owner.handle}."
    if not watch.state.ended:
        told = "Its end will be told there."
    elif end is not None and end.seen_at is None:
        told = "Its end went with it: it was not seen yet, and is told there."
    else:
        told = "Its end was seen before, and is not told again."
    return Document(moved, (Paragraph(told),), f"There, {watch_documents.wait_call(watch)} tells how it stands.")


async def _conversation(handle: str | None, call: Call) -> Owner:
    if handle is None or handle == call.owner.handle:
        return call.owner
    there_are = await call.services.conversations.of_principal(call.owner.principal)
    for conversation in there_are:
        if conversation.handle == handle:
            return conversation
    others = ", ".join(each.handle for each in there_are[:10]) or "none that has a watch"
    raise InvalidArgumentError(
        f"hand_over_watch was not called: there is no conversation {handle} of yours that has a watch.",
        remedy=f"There are: {others}. Or call it in the conversation that is to get the watch, without `conversation`.",
    )


TOOLS = (
    ToolDefinition(
        name="hand_over_watch",
        title="Hand a watch over",
        description=(
            "Let a watch of another of your conversations belong to this one, so that its end is told here; or give "
            "one to a conversation that list_watches(all_conversations=true) names. The job goes on as it is."
        ),
        arguments=HandOverWatchArguments,
        run=hand_over_watch,
        read_only=False,
        idempotent=True,
    ),
)
