"""Resources: what a client can read by its URI, without calling a tool: watches, the inbox and stored results.

A reading is not a showing: what a client reads by itself may never reach its model.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp.types import Resource, ResourceTemplate

from tp_mcp.errors import InputError, TpMcpError, WatchNotFoundError
from tp_mcp.redaction import NOTHING
from tp_mcp.results.document import Document, ItemList
from tp_mcp.results.limits import RESULT_MAX_CHARACTERS
from tp_mcp.results.text import count_of
from tp_mcp.server.backend import Backend
from tp_mcp.server.outgoing import MIME_TYPE, resource_contents
from tp_mcp.server.rendering import error_text, kept_text
from tp_mcp.tools import stored_results
from tp_mcp.tools.framework import watch_documents
from tp_mcp.tools.framework.services import Services
from tp_mcp.watch.delivery.inbox import Visit
from tp_mcp.watch.model.watch import Owner

logger = logging.getLogger(__name__)

URI_SHOWN_CHARACTERS = 200
INBOX_URI = "tp://inbox"
WATCH_URI = "tp://watches/{id}"
PLACEHOLDER = "{id}"


@dataclass(frozen=True, slots=True)
class ResourceDefinition:
    """A resource, or a family of resources that differ in an id.

    Attributes:
        uri: `tp://inbox`, or `tp://watches/{id}` for a family.
        name: short, of `[a-z0-9_]`.
        read: returns the document for an id (empty if the URI has none). Raises the same WatchNotFoundError or
            InputError for a missing resource and for another principal's.
    """

    uri: str
    name: str
    title: str
    description: str
    read: Callable[[str, Owner, Services], Awaitable[Document]]

    @property
    def is_family(self) -> bool:
        """Return whether the URI has an id in it."""
        return self.uri.endswith(PLACEHOLDER)

    def identifier(self, uri: str) -> str | None:
        """Return the id in a URI, empty if the resource has none; None for the URI of another resource."""
        if not self.is_family:
            return "" if uri == self.uri else None
        prefix = self.uri.removesuffix(PLACEHOLDER)
        return uri.removeprefix(prefix) if uri.startswith(prefix) and uri != prefix else None


def watch_uri(watch_id: str) -> str:
    """Return the URI of a watch."""
    return WATCH_URI.format(id=watch_id)


async def read_watch(watch_id: str, owner: Owner, services: Services) -> Document:
    """Return the state of a watch, or its end."""
    watch = await services.watches.registry.get(watch_id, owner)
    if watch.state.ended:
        return watch_documents.ended(watch)
    if not services.watches.registry.looks_at(watch):
        return watch_documents.elsewhere(watch)
    return watch_documents.interim(watch, services.clock.now())


async def read_inbox(_: str, owner: Owner, services: Services) -> Document:
    """Return the ends that this conversation has not seen yet, newest first."""
    waiting = await services.watches.inbox.to_show(Visit(owner))
    if not waiting:
        return Document("No watch of this conversation has ended unseen.")
    newest_first = [entry.text for entry in sorted(waiting, key=lambda entry: -entry.created_at)]
    return Document(
        f"{count_of(len(waiting), 'watch has', 'watches have')} ended unseen in this conversation.",
        (ItemList("Newest first", tuple(newest_first), rest='list_watches(state="ended") lists them'),),
        "wait_for_watch(watch_id) shows one in full and marks it as seen.",
    )


async def read_kept(handle: str, owner: Owner, services: Services) -> Document:
    """Return the first page of a stored result."""
    return stored_results.first_page(handle, await stored_results.kept_under(handle, owner, services))


RESOURCES: tuple[ResourceDefinition, ...] = (
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
        description="The state of a watch, or its end; the id comes from the call that started it.",
        read=read_watch,
    ),
    ResourceDefinition(
        uri="tp://results/{id}",
        name="result",
        title="Stored result",
        description="The first page of the rest of a long result, or of a run's log; the id is the handle.",
        read=read_kept,
    ),
)


def listed_resources() -> list[Resource]:
    """Return the resources that have a URI of their own."""
    return [
        Resource(uri=each.uri, name=each.name, title=each.title, description=each.description, mime_type=MIME_TYPE)
        for each in RESOURCES
        if not each.is_family
    ]


def listed_templates() -> list[ResourceTemplate]:
    """Return the resource families, whose URIs contain an id."""
    return [
        ResourceTemplate(
            uri_template=each.uri, name=each.name, title=each.title, description=each.description, mime_type=MIME_TYPE
        )
        for each in RESOURCES
        if each.is_family
    ]


async def read_resource(uri: str, *, backend: Backend, owner: Owner) -> list[ReadResourceContents]:
    """Read a resource, within the limits of a tool's result.

    Raises:
        ResourceNotFoundError: no resource has this URI, or it is another principal's; the message is the same.
        ResourceError: the resource could not be read; the message gives the reason.
    """
    definition, identifier = _found(uri)
    try:
        services = await backend.services()
    except TpMcpError as error:
        raise ResourceError(error_text(error, backend.redactor)) from None
    redactor = services.tp.redactor
    try:
        document = await definition.read(identifier, owner, services)
    except (InputError, WatchNotFoundError) as error:
        raise ResourceNotFoundError(error_text(error, redactor)) from None
    except TpMcpError as error:
        raise ResourceError(error_text(error, redactor)) from None
    except Exception:
        # The text of an unexpected error may contain anything, so it stays in the log.
        logger.exception("%s could not be read", definition.uri)
        raise ResourceError(
            "The resource could not be read because of an internal error; see the server's log."
        ) from None

    async def keep(whole: str) -> str:
        what = f"the resource {uri[:URI_SHOWN_CHARACTERS]}"
        return await services.results.stored.keep(owner.principal, whole, what=what)

    text = await kept_text(document, NOTHING, redactor, max_characters=RESULT_MAX_CHARACTERS, keep=keep)
    return [resource_contents(text)]


def _found(uri: str) -> tuple[ResourceDefinition, str]:
    for definition in RESOURCES:
        identifier = definition.identifier(uri)
        if identifier is not None:
            return definition, identifier
    there_are = ", ".join(definition.uri for definition in RESOURCES)
    raise ResourceNotFoundError(f"There is no resource {uri[:URI_SHOWN_CHARACTERS]!r}. There are: {there_are}.")
