"""What TP lists beyond labs and tests: the versions that its automation knows, and the user's recent executions."""

from typing import Annotated

from pydantic import Field

from tp_mcp.api.models import ExecutionSummary
from tp_mcp.redaction import one_line
from tp_mcp.results.document import Document, ItemList
from tp_mcp.results.statuses import status_words, word
from tp_mcp.results.text import count_of
from tp_mcp.tools.framework.definition import Call, ToolArguments, ToolDefinition


class ListVersionsArguments(ToolArguments):
    """What `list_versions` takes: nothing."""


class ListExecutionsArguments(ToolArguments):
    """What `list_executions` takes."""

    lab: Annotated[str, Field(description="Only executions on this lab.", examples=["AT16_Combined_FSW"])] = ""


async def list_versions(_arguments: ListVersionsArguments, call: Call) -> Document:
    """List the versions that TP's automation knows."""
    versions = await call.services.client.list_versions()
    if not versions:
        return Document("TP lists no version.")
    return Document(
        f"TP's automation knows {count_of(len(versions), 'version')}.",
        (ItemList(heading="Versions", items=tuple(word(version) for version in versions)),),
        'start_upgrade with mode "ga" takes a version and loads its newest GA build.',
    )


async def list_executions(arguments: ListExecutionsArguments, call: Call) -> Document:
    """List the user's recent executions, in TP's order."""
    rows = await call.services.client.list_executions()
    user = word(await call.services.client.username())
    found = [row for row in rows if arguments.lab in {"", row.lab}]
    if not found:
        on = f" on {word(arguments.lab)} among {len(rows)}" if arguments.lab else ""
        return Document(f"TP lists no recent execution of {user}{on}.")
    going_on = sum(1 for row in found if row.in_flight)
    return Document(
        f"{count_of(len(found), 'recent execution')} of {user}; {going_on} going on.",
        (ItemList(heading="Executions", items=tuple(map(_line, found)), rest="narrow it with lab"),),
        "get_execution tells one in full.",
    )


def _line(row: ExecutionSummary) -> str:
    number = "unknown id" if row.exec_id is None else str(row.exec_id)
    parts = [status_words(row.status) or "status unknown"]
    if row.progress:
        parts.append(f"progress {word(row.progress)}")
    if row.start_timestamp is not None:
        parts.append(f"started {row.start_timestamp:%Y-%m-%d %H:%M} UTC")
    return f"{number} on {one_line(row.lab) or 'an unknown lab'}: {', '.join(parts)}"


TOOLS = (
    ToolDefinition(
        name="list_versions",
        title="List versions",
        description=(
            "List the firmware versions that TP's automation knows. Use it to find the exact version for start_upgrade "
            'with mode "ga".'
        ),
        arguments=ListVersionsArguments,
        run=list_versions,
        read_only=True,
    ),
    ToolDefinition(
        name="list_executions",
        title="List recent executions",
        description=(
            "List your recent pytest executions on TP with status and progress, including those started on TP's own "
            "page. Use it to find the id for get_execution."
        ),
        arguments=ListExecutionsArguments,
        run=list_executions,
        read_only=True,
    ),
)
