"""The labs a user may use."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from tp_mcp.api.models import Lab
from tp_mcp.redaction import one_line
from tp_mcp.results.document import Document, ItemList
from tp_mcp.results.statuses import word
from tp_mcp.results.text import count_of
from tp_mcp.tools.framework.definition import Call, ToolArguments, ToolDefinition

LABS_TYPICAL_CHARACTERS = 4_000
"""About twenty labs."""

DEVICES_SHOWN = 6
PEOPLE_SHOWN = 6


class ListLabsArguments(ToolArguments):
    """What `list_labs` takes."""

    search: Annotated[str, Field(description="Part of the lab's name; case is ignored.", examples=["AT16"])] = ""


async def list_labs(arguments: ListLabsArguments, call: Call) -> Document:
    """List the labs the user may use."""
    labs = await call.services.catalogue.labs()
    found = [lab for lab in labs if arguments.search.casefold() in lab.name.casefold()]
    user = await call.services.client.username()
    if not found:
        why = f"none of the {len(labs)} matches {arguments.search!r}" if labs else "TP lists none"
        return Document(f"No lab for {word(user)}: {why}.", next_step="list_labs() shows all." if labs else "")
    free = sum(1 for lab in found if lab.status == "Available")
    matching = f" matching {arguments.search!r} (of {len(labs)})" if len(found) < len(labs) else ""
    conclusion = f"{count_of(len(found), 'lab')}{matching} that {word(user)} may use; {free} available."
    step = "The name is the testbed of start_upgrade and the lab of run_pytest."
    few = Document(conclusion, (_listed(found, PEOPLE_SHOWN, DEVICES_SHOWN),), step)
    full = Document(conclusion, (_listed(found, None, None),), step)
    return few if few == full else replace(few, full=full)


def _listed(labs: Sequence[Lab], people: int | None, devices: int | None) -> ItemList:
    items = tuple(_line(lab, people, devices) for lab in labs)
    return ItemList(heading="Labs", items=items, rest="narrow it with search")


def _line(lab: Lab, people: int | None, devices: int | None) -> str:
    parts = [word(lab.status) or "status unknown"]
    if lab.users:
        parts.append(f"owned by {_few(lab.users, people)}")
    if lab.usedby:
        parts.append(f"shared with {_few(lab.usedby, people)}")
    if lab.devices:
        named = [f"{word(device.name)} {word(device.ip)}".strip() for device in lab.devices]
        parts.append(f"devices: {_few(named, devices)}")
    return f"{one_line(lab.name)}: {'; '.join(parts)}"


def _few(names: Sequence[str], most: int | None) -> str:
    shown = ", ".join(word(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if most is not None and len(names) > most else shown


TOOLS = (
    ToolDefinition(
        name="list_labs",
        title="List labs",
        description=(
            "List the labs (testbeds) you may use, with status, owners, other users and devices. Use it to find a "
            "lab's exact name before start_upgrade or run_pytest."
        ),
        arguments=ListLabsArguments,
        run=list_labs,
        read_only=True,
        typical_characters=LABS_TYPICAL_CHARACTERS,
    ),
)
