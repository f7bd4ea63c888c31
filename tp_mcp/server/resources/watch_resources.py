"""A watch, and the inbox of the conversation that reads it.

Reading is no showing: what a client reads by itself may never reach its model.
"""

from tp_mcp.results.document import Document, ItemList
from tp_mcp.results.text import count_of
from tp_mcp.server.resources.definition import ResourceCall, ResourceDefinition
from tp_mcp.tools.framework import watch_documents
from tp_mcp.watch.delivery.inbox import Visit

INBOX_URI = "tp://inbox"
WATCH_URI = "tp://watches/{id}"


def watch_uri(watch_id: str) -> str:
    """Return where a watch is read."""
    return WATCH_URI.format(id=watch_id)


async def read_watch(watch_id: str, call: ResourceCall) -> Document:
    """Tell how a watch stands, or how it ended."""
    services = call.services
    watch = await services.registry.get(watch_id, call.owner)
    if watch.state.ended:
        return watch_documents.ended(watch)
    if not services.registry.looks_at(watch):
        return watch_documents.elsewhere(watch)
    return watch_documents.interim(watch, services.clock.now())


async def read_inbox(_: str, call: ResourceCall) -> Document:
    """Tell the ends that this conversation has not seen yet, newest first."""
    waiting = await call.services.inbox.to_show(Visit(call.owner))
    if not waiting:
        return Document("No watch of this conversation has ended that was not seen.")
    newest_first = [entry.text for entry in sorted(waiting, key=lambda entry: -entry.created_at)]
    return Document(
        f"{count_of(len(waiting), 'watch has', 'watches have')} ended and not been seen in this conversation.",
        (ItemList("Newest first", tuple(newest_first), rest='list_watches(state="ended") lists them'),),
        "wait_for_watch with the id of one tells it in full, and lets it count as seen.",
    )


RESOURCES = (
    ResourceDefinition(
        uri=INBOX_URI,
        name="inbox",
        title="Ended watches",
        description="The ends of this conversation's watches that it has not seen yet.",
        read=read_inbox,
    ),
    ResourceDefinition(
        uri=WATCH_URI,
        name="watch",
        title="A watch",
        description="How one watch stands, or how it ended; its id is the one that a start told.",
        read=read_watch,
    ),
)
