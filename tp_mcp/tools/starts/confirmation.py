"""Whether a change may be sent: the policy, and a confirmation of exactly this plan if one is needed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field, JsonValue

from tp_mcp.access.audit_log import Event
from tp_mcp.access.confirmations import CODE_SECONDS, Proposal
from tp_mcp.access.control import Trail
from tp_mcp.access.policy import Action, Need, Unasked
from tp_mcp.api.models import Lab, UpgradeStatus
from tp_mcp.errors import ConfirmationError, TpError
from tp_mcp.results.document import Document, Paragraph
from tp_mcp.results.statuses import word
from tp_mcp.results.text import format_duration
from tp_mcp.tools.framework.definition import Call
from tp_mcp.tools.framework.questions import Answer, Asker
from tp_mcp.tools.starts.chain_arguments import Later
from tp_mcp.watch.model.watch import WatchState

Confirm = Annotated[str | None, Field(description="Confirmation code from a shown plan.")]
DryRun = Annotated[bool, Field(description="Show the plan without starting it.")]


MAX_WATCHES_NAMED = 3
"""How many of the user's other watches on a testbed a plan and a start name."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change that a call asks for. Attributes as of `Proposal`; `arguments` hold no secret.

    `later` is every change that may follow in its chain: each of them is confirmed together with the first.
    """

    action: Action
    tool: str
    testbed: str
    what: str
    arguments: Mapping[str, JsonValue]
    target: str = ""
    chain: tuple[str, ...] = field(default=())
    later: tuple[Later, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class NeedsConfirmation:
    """A plan that has to be confirmed. Nothing was sent.

    Attributes:
        plan: the plan, with everything that concerns it.
        code: confirms just this plan.
        by_person: a person has to approve the code at a terminal first.
        protected: the testbed that asks for a person; empty for one that a later step of the chain is for.
    """

    plan: Proposal
    code: str
    by_person: bool = False
    protected: str = ""


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan of a dry run. Nothing was sent.

    Attributes:
        plan: the plan, with everything that concerns it.
    """

    plan: Proposal


def plan_document(outcome: NeedsConfirmation | Planned) -> Document:
    """Return a plan as a tool's result, with how to go on."""
    plan = (Paragraph("\n".join(outcome.plan.lines())),)
    if isinstance(outcome, Planned):
        return Document("Nothing was started: this is the plan.", plan, "Call again without dry_run to do it.")
    code = outcome.code
    again = f'call again with the same arguments and confirm="{code}" within {format_duration(CODE_SECONDS)}'
    step = (
        f"{outcome.protected or 'The testbed of what follows'} is protected: show the plan to the user, who has to run "
        f"`tp-mcp approve {code}` in a terminal. Then {again}. You cannot approve it for them."
        if outcome.by_person
        else f"Show the plan to the user. If they agree, {again}. The code is good for this plan alone."
    )
    return Document("Nothing was started yet: this is the plan.", plan, step)


async def permitted(
    call: Call, change: Change, *, confirm: str | None = None, dry_run: bool = False
) -> NeedsConfirmation | Planned | None:
    """Return None if a change may be sent now, after writing that to the audit log; otherwise return its plan.

    The later steps of a chain were confirmed together with the first: for them only the policy and the budget count.

    Raises:
        PolicyError: the operator does not allow it.
        ConfirmationError: it has to be confirmed, and was not.
        TpError: the plan could not be made because TP could not be asked.
        StoreError: it could not be written down.
    """
    control = call.services.access
    control.policy.check(change.action, change.testbed)
    trail = control.trail(call.owner, change.tool, call.id)
    need = Need.NOBODY
    if call.follows is None:
        own = control.policy.need(change.action, change.testbed)
        need = control.policy.need_of_all(own, change.later)
    if dry_run:
        plan = await proposed(call, change)
        await trail.write(Event.SHOWN, "dry run", action=change.action, testbed=change.testbed)
        return Planned(plan)
    if need is not Need.NOBODY:
        unconfirmed = await _confirmed(call, change, trail, need, confirm)
        if unconfirmed is not None:
            return unconfirmed
    await trail.spend(change.action, change.testbed, change.what)
    return None


async def permitted_to_follow(call: Call, change: Change, *, confirm: str | None = None) -> NeedsConfirmation | None:
    """Return None if a watch may be made whose chain changes something; otherwise return the plan of the chain.

    Args:
        call: the call that would make it.
        change: the change that may follow its end.
        confirm: the code of a plan that was shown.

    Raises:
        ConfirmationError: it has to be confirmed, and was not.
        TpError: the plan could not be made because TP could not be asked.
        StoreError: it could not be written down.
    """
    control = call.services.access
    need = control.policy.need_of_all(Need.NOBODY, change.later)
    if need is Need.NOBODY:
        return None
    return await _confirmed(call, change, control.trail(call.owner, change.tool, call.id), need, confirm)


async def proposed(call: Call, change: Change) -> Proposal:
    """Return the plan of a change, with the present state of everything that concerns it.

    Raises:
        InvalidArgumentError: there is no such lab.
        TpError: TP could not be asked.
    """
    services = call.services
    lab = await services.tp.catalogue.require_lab("testbed", change.testbed)
    status = await services.tp.client.get_upgrade(change.testbed)
    return Proposal(
        action=change.action,
        tool=change.tool,
        arguments=json.dumps(change.arguments, ensure_ascii=False, sort_keys=True),
        testbed=change.testbed,
        what=change.what,
        devices=_devices(lab, status),
        running=_running(status),
        target=change.target,
        lab_status=word(lab.status) if lab is not None else "",
        users=_users(lab, await services.tp.client.username()),
        executions=await _executions(call, change.testbed),
        watches=await watches_on(change.testbed, call),
        chain=change.chain,
    )


async def watches_on(testbed: str, call: Call) -> tuple[str, ...]:
    """Return a sentence for each of the user's watches on a testbed that go on, at most `MAX_WATCHES_NAMED`."""
    watches = await call.services.watches.registry.list(
        call.owner, all_conversations=True, states=(WatchState.STARTING, WatchState.ACTIVE), about=testbed
    )
    here = [watch for watch in watches if call.services.watches.registry.looks_at(watch) and watch.testbed == testbed]
    return tuple(f"Mind that {watch.id} goes on there too: {watch.title}." for watch in here[:MAX_WATCHES_NAMED])


async def _confirmed(
    call: Call, change: Change, trail: Trail, need: Need, confirm: str | None
) -> NeedsConfirmation | None:
    control = call.services.access
    if confirm:
        await control.confirmations.redeem(
            confirm, call.owner, await proposed(call, change), by_person=need is Need.PERSON
        )
        await trail.write(Event.CONFIRMED, "by code", action=change.action, testbed=change.testbed)
        return None
    if call.asker is not None:
        await _asked(call.asker, call, change, trail)
        return None
    if need is Need.CALLER and control.policy.unasked is Unasked.REFUSE:
        raise ConfirmationError(
            "It has to be confirmed, and this client cannot ask its user.",
            remedy="Use a client that can (elicitation), or ask whoever runs this server (TP_MCP_UNASKED).",
        )
    proposal = await proposed(call, change)
    code = await control.confirmations.ask(call.owner, proposal, by_person=need is Need.PERSON)
    await trail.write(Event.SHOWN, f"needs {need}", action=change.action, testbed=change.testbed)
    own = control.policy.need(change.action, change.testbed) is Need.PERSON
    return NeedsConfirmation(proposal, code, by_person=need is Need.PERSON, protected=change.testbed if own else "")


async def _asked(asker: Asker, call: Call, change: Change, trail: Trail) -> None:
    """Have the client ask its user; return if they agree, and the plan that they agreed to still holds."""
    control = call.services.access
    reply = asker.earlier
    if reply is None:
        proposal = await proposed(call, change)
        code = await control.confirmations.ask(call.owner, proposal, by_person=True)
        await trail.write(Event.SHOWN, "to the user", action=change.action, testbed=change.testbed)
        reply = await asker.ask("\n".join((*proposal.lines(), "Do it now?")), code)
    if reply.answer is not Answer.YES:
        raise ConfirmationError(
            "The user did not agree." if reply.answer is Answer.NO else "The user did not answer in time.",
            remedy="Nothing was sent. Do not ask again unless they tell you to.",
        )
    # They may have taken minutes to answer.
    await control.confirmations.redeem(
        reply.code, call.owner, await proposed(call, change), by_person=True, user_answered=True
    )
    await trail.write(Event.CONFIRMED, "by the user", action=change.action, testbed=change.testbed)


def _devices(lab: Lab | None, status: UpgradeStatus) -> tuple[str, ...]:
    if lab is not None and lab.devices:
        return tuple(f"{word(device.name)} {word(device.ip)}".strip() for device in lab.devices)
    return tuple(word(ip) for ip in status.target_ips)


def _running(status: UpgradeStatus) -> str:
    builds = sorted({word(device.last_build_number) for device in status.per_device if device.last_build_number})
    under_way = " (an upgrade is under way)" if status.status == "PROGRESS" else ""
    return (f"build {', '.join(builds)}" if builds else "unknown") + under_way


def _users(lab: Lab | None, own: str) -> tuple[str, ...]:
    return tuple(word(user) for user in (*lab.users, *lab.usedby) if user != own) if lab is not None else ()


async def _executions(call: Call, testbed: str) -> tuple[int, ...]:
    try:
        rows = await call.services.tp.client.list_executions()
    except TpError:
        # A companion endpoint: if it does not answer, the plan is shown without executions.
        return ()
    return tuple(sorted(row.exec_id for row in rows if row.lab == testbed and row.in_flight and row.exec_id))
