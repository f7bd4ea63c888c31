"""Marking a lab as taken, so that people see it is in use."""

from typing import Annotated

import anyio
from pydantic import Field

from tp_mcp.access.policy import Action
from tp_mcp.api.guard import guard_name
from tp_mcp.api.requests import LockAction
from tp_mcp.results.document import Document
from tp_mcp.results.statuses import word
from tp_mcp.tools.framework.definition import Call, ToolArguments, ToolDefinition
from tp_mcp.tools.starts.confirmation import Change, Confirm, permitted, plan_document


class LabArguments(ToolArguments):
    """What the tools about one lab take."""

    lab: Annotated[str, Field(description="Lab (= testbed) name from list_labs.", examples=["AT16_Combined_FSW"])]
    confirm: Confirm = None


async def lock_lab(arguments: LabArguments, call: Call) -> Document:
    """Mark a lab as taken."""
    if (told := await _sent(arguments, call, LockAction.LOCK)) is not None:
        return told
    lab, user = word(arguments.lab), word(await call.services.client.username())
    return Document(
        f"TP was asked to mark {lab} as taken by {user}.",
        next_step="The mark tells people; nothing is kept from running there. unlock_lab takes it away.",
    )


async def unlock_lab(arguments: LabArguments, call: Call) -> Document:
    """Take the mark away."""
    if (told := await _sent(arguments, call, LockAction.UNLOCK)) is not None:
        return told
    lab, user = word(arguments.lab), word(await call.services.client.username())
    return Document(f"TP was asked to take {user}'s mark from {lab}.", next_step="list_labs shows what is available.")


async def _sent(arguments: LabArguments, call: Call, action: LockAction) -> Document | None:
    """Send it, and return None; or return what to tell instead, because it has to be confirmed first."""
    services = call.services
    lab = guard_name("lab", arguments.lab)
    await services.catalogue.require_lab("lab", lab)
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
        await services.client.lock_lab(lab, action)
    return None


TOOLS = (
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
)
