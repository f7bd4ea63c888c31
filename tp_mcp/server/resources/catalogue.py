"""Which resources there are. A further one is one more line."""

from tp_mcp.server.resources import results, watches
from tp_mcp.server.resources.definition import ResourceDefinition

RESOURCES: tuple[ResourceDefinition, ...] = (*watches.RESOURCES, *results.RESOURCES)
