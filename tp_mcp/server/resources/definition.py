"""What every resource is made of, apart from the protocol that carries it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tp_mcp.results.document import Document
from tp_mcp.tools.framework.services import Services
from tp_mcp.watch.model.watch import Owner

PLACEHOLDER = "{id}"


@dataclass(frozen=True, slots=True)
class ResourceCall:
    """One reading of a resource.

    Attributes:
        owner: who reads, and in which conversation.
        services: what the resource may use.

    """

    owner: Owner
    services: Services


@dataclass(frozen=True, slots=True)
class ResourceDefinition:
    """A resource, or a family of them that differ in an id.

    Attributes:
        uri: `tp://inbox`, or `tp://watches/{id}` for a family.
        name: short, of `[a-z0-9_]`.
        title: a few words for a person.
        description: what is read there.
        read: from the id (empty where there is none) to the document. What is not there, and what is another
            principal's, raises the same WatchNotFoundError or InputError.

    """

    uri: str
    name: str
    title: str
    description: str
    read: Callable[[str, ResourceCall], Awaitable[Document]]

    @property
    def is_family(self) -> bool:
        """Return whether its URI has an id in it."""
        return self.uri.endswith(PLACEHOLDER)

    def identifier(self, uri: str) -> str | None:
        """Return the id in a URI, empty where this resource has none; None for the URI of another resource."""
        if not self.is_family:
            return "" if uri == self.uri else None
        prefix = self.uri.removesuffix(PLACEHOLDER)
        return uri.removeprefix(prefix) if uri.startswith(prefix) and uri != prefix else None
