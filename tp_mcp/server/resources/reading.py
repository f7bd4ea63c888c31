"""Resources, as the protocol lists and reads them."""

import logging
from collections.abc import Sequence

from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp.types import Resource, ResourceTemplate

from tp_mcp.errors import InputError, TpMcpError, WatchNotFoundError
from tp_mcp.redaction import NOTHING
from tp_mcp.results.limits import RESULT_MAX_CHARACTERS
from tp_mcp.server.backend import Backend
from tp_mcp.server.outgoing import MIME_TYPE, resource_contents
from tp_mcp.server.rendering import error_text, kept_text
from tp_mcp.server.resources import stored_results, watch_resources
from tp_mcp.server.resources.definition import ResourceCall, ResourceDefinition
from tp_mcp.watch.model.watch import Owner

logger = logging.getLogger(__name__)

RESOURCES: tuple[ResourceDefinition, ...] = (*watch_resources.RESOURCES, *stored_results.RESOURCES)

URI_SHOWN_CHARACTERS = 200


def listed_resources() -> list[Resource]:
    """Return the resources that have a URI of their own."""
    return [
        Resource(uri=each.uri, name=each.name, title=each.title, description=each.description, mime_type=MIME_TYPE)
        for each in RESOURCES
        if not each.is_family
    ]


def listed_templates() -> list[ResourceTemplate]:
    """Return the families of resources that differ in an id."""
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
        ResourceNotFoundError: there is none with this URI, or it is another principal's; the answer is the same.
        ResourceError: it could not be read; says why.

    """
    definition, identifier = _found(uri, RESOURCES)
    try:
        services = await backend.services()
    except TpMcpError as error:
        raise ResourceError(error_text(error, backend.redactor)) from None
    redactor = services.redactor
    try:
        document = await definition.read(identifier, ResourceCall(owner, services))
    except (InputError, WatchNotFoundError) as error:
        raise ResourceNotFoundError(error_text(error, redactor)) from None
    except TpMcpError as error:
        raise ResourceError(error_text(error, redactor)) from None
    except Exception:
        # The words of an unexpected error may hold anything; they stay in the log.
        logger.exception("%s could not be read", definition.uri)
        raise ResourceError("It could not be read for an internal reason; see the server's log.") from None

    async def keep(whole: str) -> str:
        what = f"the resource {uri[:URI_SHOWN_CHARACTERS]}"
        return await services.stored_results.keep(owner.principal, whole, what=what)

    text = await kept_text(document, NOTHING, redactor, max_characters=RESULT_MAX_CHARACTERS, keep=keep)
    return [resource_contents(text)]


def _found(uri: str, definitions: Sequence[ResourceDefinition]) -> tuple[ResourceDefinition, str]:
    for definition in definitions:
        identifier = definition.identifier(uri)
        if identifier is not None:
            return definition, identifier
    there_are = ", ".join(definition.uri for definition in definitions)
    raise ResourceNotFoundError(f"There is no resource {uri[:URI_SHOWN_CHARACTERS]!r}. There are: {there_are}.")
