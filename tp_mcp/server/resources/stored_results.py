"""What did not fit into a result, and the logs of executions."""

from tp_mcp.results.document import Document
from tp_mcp.server.resources.definition import ResourceCall, ResourceDefinition
from tp_mcp.tools import stored_results


async def read_kept(handle: str, call: ResourceCall) -> Document:
    """Show the first page of what is kept under a handle."""
    return stored_results.first_page(handle, await stored_results.kept_under(handle, call.owner, call.services))


RESOURCES = (
    ResourceDefinition(
        uri="tp://results/{id}",
        name="result",
        title="What was cut",
        description="The first page of what did not fit into a result, or of a run's log; its id is the handle.",
        read=read_kept,
    ),
)
