"""Upgrading a testbed, and showing its latest upgrade."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field, field_validator

from tp_mcp.access.policy import Action
from tp_mcp.api.guard import guard_image
from tp_mcp.api.models import DeviceUpgrade, UpgradeStatus
from tp_mcp.api.requests import UpgradeMode, UpgradeRequest
from tp_mcp.errors import InvalidArgumentError
from tp_mcp.jobs.kinds import UPGRADES
from tp_mcp.jobs.upgrade.upgrade_rule import POLL_TOOL, UNDER_WAY, upgrade_job
from tp_mcp.results.document import Document, LogExcerpt, Paragraph
from tp_mcp.results.log_excerpt import without_command
from tp_mcp.results.statuses import status_words, word
from tp_mcp.tools.framework import watch_documents
from tp_mcp.tools.framework.arguments import ToolArguments
from tp_mcp.tools.framework.definition import Call, ToolDefinition
from tp_mcp.tools.framework.wait import WaitOfStart
from tp_mcp.tools.starts.chain_arguments import NOT_OF_THE_REQUEST, OnDone, OnFail
from tp_mcp.tools.starts.confirmation import Confirm, DryRun
from tp_mcp.tools.starts.start_documents import start_document
from tp_mcp.tools.starts.start_job import StartOutcome, start_job
from tp_mcp.watch.model.reading import Verdict
from tp_mcp.watch.model.watch import Watch, WatchState

START_TOOL = UPGRADES.tool
FAILED_STATUSES = frozenset({"FAILURE", "TIMEOUT"})
UPGRADE_TYPICAL_CHARACTERS = 4_000
"""A few devices with the ends of their logs."""

LINES_WHERE_ALL_IS_WELL = 3

Testbed = Annotated[str, Field(description="Testbed (= lab) name from list_labs.")]


class StartUpgradeArguments(ToolArguments):
    """The arguments of `start_upgrade`."""

    testbed: Testbed
    mode: Annotated[
        Literal["build", "ga", "command"],
        Field(description="Image source: build needs build_number, ga needs version, command needs command."),
    ]
    build_number: Annotated[
        str | None,
        Field(description="Build number as text, with its leading zeros, e.g. 0815.", examples=["6957", "0815"]),
    ] = None
    version: Annotated[
        str | None, Field(description="Version whose newest GA build is loaded, e.g. 7.6.5.", examples=["7.6.5"])
    ] = None
    command: Annotated[
        str | None,
        Field(
            description="The line that the build job prints: execute restore image scp <path> <host> <user> <password>"
        ),
    ] = None
    on_done: OnDone = None
    on_fail: OnFail = None
    max_wait_seconds: WaitOfStart = 0
    dry_run: DryRun = False
    confirm: Confirm = None

    @field_validator("build_number", mode="before")
    @classmethod
    def _not_a_number(cls, value: object) -> object:
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise ValueError(f'as a number it may have lost a leading zero; pass it as text, "{value}" or "0{value}"')
        return value


class GetUpgradeArguments(ToolArguments):
    """The arguments of `get_upgrade`."""

    testbed: Testbed


async def start_upgrade(arguments: StartUpgradeArguments, call: Call) -> Document:
    """Start an upgrade and watch it."""
    outcome = await start_upgrade_job(arguments, call)
    return await start_document(outcome, call, max_wait_seconds=arguments.max_wait_seconds)


async def start_upgrade_job(arguments: StartUpgradeArguments, call: Call) -> StartOutcome:
    """Start an upgrade, and return the outcome.

    Raises:
        InputError: the guard refuses an argument.
        QuestionForUser: the client's user has to answer first.
    """
    request = _checked(arguments)
    if request.command is not None:
        guard_image(request.command, hosts=call.services.starts.image_hosts, paths=call.services.starts.image_paths)
    return await start_job(
        UPGRADES,
        request,
        call,
        on_done=arguments.on_done,
        on_fail=arguments.on_fail,
        max_wait_seconds=arguments.max_wait_seconds,
        dry_run=arguments.dry_run,
        confirm=arguments.confirm,
    )


async def check_upgrade(arguments: StartUpgradeArguments, call: Call, unknown: frozenset[str]) -> None:
    """Check an upgrade that is a later step of a chain.

    Raises:
        InputError: the upgrade would be refused.
        PolicyError: the operator does not allow the upgrade.
        TpError: TP could not be asked.
    """
    if arguments.mode == UpgradeMode.COMMAND.value or arguments.command:
        raise InvalidArgumentError(
            "mode command cannot follow anything: its line holds a password, which is not kept until then.",
            remedy="Use mode build or ga, or start it yourself.",
        )
    if not unknown & {"mode", "build_number", "version"}:
        _checked(arguments)
    if "testbed" not in unknown:
        call.services.access.policy.check(Action.UPGRADE, arguments.testbed)
        await call.services.tp.catalogue.require_lab("testbed", arguments.testbed)


async def get_upgrade(arguments: GetUpgradeArguments, call: Call) -> Document:
    """Show a testbed's latest upgrade."""
    services = call.services
    await services.tp.catalogue.require_lab("testbed", arguments.testbed)
    status = await services.tp.client.get_upgrade(arguments.testbed)
    job = upgrade_job(arguments.testbed)
    await services.watches.inbox.name(call.visit, job=job)
    mine = [
        watch
        for watch in await services.watches.registry.list(
            call.owner, all_conversations=True, states=(WatchState.STARTING, WatchState.ACTIVE), about=job
        )
        if watch.job == job
    ]
    # In every mode: the line that TP makes up itself holds a password too.
    logs = tuple(
        LogExcerpt(heading=_device_line(device), text=without_command(device.log_tail.rstrip()))
        for device in status.per_device
    )
    ends = tuple(_end_of(log, device) for log, device in zip(logs, status.per_device, strict=True))
    state = f"{arguments.testbed} {_status_words(status)}."
    if any(_not_picked_up(watch) for watch in mine):
        conclusion = f"Not picked up yet; TP may still show the upgrade before it: the latest upgrade of {state}"
    else:
        conclusion = f"The latest upgrade of {state}"
    watched = tuple(Paragraph(f"Watched as {watch.id}: {watch.title}.") for watch in mine)
    step = _next_step(arguments.testbed, status, mine)
    full = None if ends == logs else Document(conclusion, (*watched, *logs), step)
    return Document(conclusion, (*watched, *ends), step, full)


def _checked(arguments: StartUpgradeArguments) -> UpgradeRequest:
    return UpgradeRequest.checked(**arguments.model_dump(exclude=set(NOT_OF_THE_REQUEST)))


def _status_words(status: UpgradeStatus) -> str:
    match status.status:
        case "UNKNOWN":
            return "is UNKNOWN: none was ever started"
        case "PROGRESS":
            return "is under way (PROGRESS)"
        case "SUCCESS":
            return "ended in SUCCESS on every device"
        case "FAILURE":
            return "ended in FAILURE on at least one device"
        case other:
            return f"has status {status_words(other) or 'none'}"


def _device_line(device: DeviceUpgrade) -> str:
    build = f", build {word(device.last_build_number)}" if device.last_build_number else ""
    by = f", by {word(device.last_task_type)}{build}" if device.last_task_type else build
    at = f", last sign of life {device.updated_at.isoformat(timespec='seconds')}" if device.updated_at else ""
    return f"{word(device.ip)}: {status_words(device.status)}{by}{at}"


def _end_of(log: LogExcerpt, device: DeviceUpgrade) -> LogExcerpt:
    if device.status in FAILED_STATUSES:
        return log
    # Nothing is wrong there: its last lines are enough.
    return replace(log, text="\n".join(log.text.splitlines()[-LINES_WHERE_ALL_IS_WELL:]))


def _not_picked_up(watch: Watch) -> bool:
    return watch.reading is None or watch.reading.verdict is Verdict.STALE


def _next_step(testbed: str, status: UpgradeStatus, watches: list[Watch]) -> str:
    if watches:
        return f"Do not start it again. {watch_documents.wait_call(watches[0])} waits for its end."
    if status.status == UNDER_WAY:
        watch_it = watch_documents.call_words("start_watch", tool=POLL_TOOL, args={"testbed": testbed})
        return f"Do not start another. {watch_it} watches it to its end."
    return ""


START_UPGRADE = ToolDefinition(
    name=START_TOOL,
    title="Upgrade a testbed",
    description=(
        "Upgrade the firmware of a testbed's devices and watch the upgrade in the background. Returns at once; "
        "the first line of the result has the watch id (w_...). The end is reported on the next result of any "
        "tool: do not poll in a loop and do not start it again. An upgrade takes 2 to 15 minutes, reboots the "
        "devices and cannot be cancelled. Use on_done to run tests after it. Example: "
        '{"testbed": "AT16_Combined_FSW", "mode": "build", "build_number": "6957", "on_done": '
        '{"tool": "run_pytest", "args": {"lab": "{args.testbed}", "testcase": ["Tests_CLI"]}}}'
    ),
    arguments=StartUpgradeArguments,
    run=start_upgrade,
    read_only=False,
    awaits=True,
    destructive=True,
    check=check_upgrade,
    likely={"testbed": "T", "mode": "build", "build_number": "1", "version": "1.0", "command": "-"},
)

TOOLS = (
    START_UPGRADE,
    ToolDefinition(
        name="get_upgrade",
        title="Show a testbed's upgrade",
        description=(
            "Show the status of a testbed's latest upgrade for each device, with the end of the log of devices that "
            "failed. Right after start_upgrade, TP may still report the previous upgrade; the watch knows the "
            "difference."
        ),
        arguments=GetUpgradeArguments,
        run=get_upgrade,
        read_only=True,
        typical_characters=UPGRADE_TYPICAL_CHARACTERS,
    ),
)
