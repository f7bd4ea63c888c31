"""Labs: the list of them, marks that a lab is taken, and the firmware versions that TP knows."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import anyio
from pydantic import Field

from tp_mcp.access.policy import Action
from tp_mcp.api.guard import guard_name
from tp_mcp.api.models import Lab
from tp_mcp.api.requests import LockAction
from tp_mcp.redaction import one_line
from tp_mcp.results.document import Document, ItemList
from tp_mcp.results.statuses import word
from tp_mcp.results.text import count_of
from tp_mcp.tools.framework.arguments import ToolArguments
from tp_mcp.tools.framework.definition import Call, ToolDefinition
from tp_mcp.tools.starts.confirmation import Change, Confirm, permitted, plan_document

LABS_TYPICAL_CHARACTERS = 4_000
"""About twenty labs."""

DEVICES_SHOWN = 6
PEOPLE_SHOWN = 6


class ListLabsArguments(ToolArguments):
    """The arguments of `list_labs`."""

    search: Annotated[str, Field(description="Part of the lab's name; case is ignored.", examples=["AT16"])] = ""


async def list_labs(arguments: ListLabsArguments, call: Call) -> Document:
    """List the labs the user may use."""
    labs = await call.services.tp.catalogue.labs()
    found = [lab for lab in labs if arguments.search.casefold() in lab.name.casefold()]
    user = await call.services.tp.client.username()
    if not found:
        why = f"none of the {len(labs)} matches {arguments.search!r}" if labs else "TP lists none"
        return Document(f"No lab for {word(user)}: {why}.", next_step="list_labs() shows all." if labs else "")
    free = sum(1 for lab in found if lab.status == "Available")
    matching = f" matching {arguments.search!r} (of {len(labs)})" if len(found) < len(labs) else ""
    conclusion = f"{count_of(len(found), 'lab')}{matching} that {word(user)} may use; {free} available."
    step = "Use the name as testbed of start_upgrade and as lab of run_pytest."
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
    first = ", ".join(word(name) for name in names[:most])
    return f"{first} and {len(names) - most} more" if most is not None and len(names) > most else first


class LabArguments(ToolArguments):
    """The arguments of the tools about one lab."""

    lab: Annotated[str, Field(description="Lab (= testbed) name from list_labs.", examples=["AT16_Combined_FSW"])]
    confirm: Confirm = None


async def lock_lab(arguments: LabArguments, call: Call) -> Document:
    """Mark a lab as taken."""
    if (unconfirmed := await _sent(arguments, call, LockAction.LOCK)) is not None:
        return unconfirmed
    lab, user = word(arguments.lab), word(await call.services.tp.client.username())
    return Document(
        f"TP was asked to mark {lab} as taken by {user}.",
        next_step="The mark informs people; it does not prevent jobs. unlock_lab removes it.",
    )


async def unlock_lab(arguments: LabArguments, call: Call) -> Document:
    """Remove the mark from a lab."""
    if (unconfirmed := await _sent(arguments, call, LockAction.UNLOCK)) is not None:
        return unconfirmed
    lab, user = word(arguments.lab), word(await call.services.tp.client.username())
    return Document(f"TP was asked to remove {user}'s mark from {lab}.", next_step="list_labs shows what is available.")


async def _sent(arguments: LabArguments, call: Call, action: LockAction) -> Document | None:
    """Send the request and return None, or return the plan that has to be confirmed first."""
    services = call.services
    lab = guard_name("lab", arguments.lab)
    await services.tp.catalogue.require_lab("lab", lab)
    change = Change(
        action=Action.LOCK,
        tool=f"{action}_lab",
        testbed=lab,
        what=f"{action} of {lab}",
        arguments={"lab": lab},
    )
    if (unconfirmed := await permitted(call, change, confirm=arguments.confirm)) is not None:
        return plan_document(unconfirmed)
    # A caller who leaves must not cut the request in two.
    with anyio.CancelScope(shield=True):
        await services.tp.client.lock_lab(lab, action)
    return None


class ListVersionsArguments(ToolArguments):
    """The arguments of `list_versions`: none."""


async def list_versions(_arguments: ListVersionsArguments, call: Call) -> Document:
    """List the versions that TP's automation knows."""
    versions = await call.services.tp.client.list_versions()
    if not versions:
        return Document("TP lists no version.")
    return Document(
        f"TP's automation knows {count_of(len(versions), 'version')}.",
        (ItemList(heading="Versions", items=tuple(word(version) for version in versions)),),
        'start_upgrade with mode "ga" takes a version and loads its newest GA build.',
    )


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

MORE_TOOLS = (
    ToolDefinition(
        name="lock_lab",
        title="Mark a lab as taken",
        description=(
            "Mark a lab as taken by you, so that others see it is in use. The mark stays until unlock_lab, even after "
            "your jobs there have ended. Runs and upgrades do not need it, and it does not prevent others' jobs."
        ),
        arguments=LabArguments,
        run=lock_lab,
        read_only=False,
        destructive=True,
    ),
    ToolDefinition(
        name="unlock_lab",
        title="Unmark a lab",
        description=(
            "Remove the mark that lock_lab set on a lab. Jobs that run there continue; cancel_execution stops a run. "
            "TP may refuse if somebody else set the mark."
        ),
        arguments=LabArguments,
        run=unlock_lab,
        read_only=False,
        destructive=True,
    ),
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
)
"""The toolset `labs`, except for the tools about executions."""
