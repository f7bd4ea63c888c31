"""Upgrading a testbed, and how its latest upgrade stands."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, field_validator

from tp_mcp.api.models import DeviceUpgrade, UpgradeStatus
from tp_mcp.api.requests import UpgradeMode, UpgradeRequest
from tp_mcp.jobs.answers import word
from tp_mcp.jobs.specs import async_block, poll_args, spec_of
from tp_mcp.jobs.upgrade import POLL_TOOL, UPGRADE_RULE, upgrade_baseline, upgrade_job
from tp_mcp.results.document import Document, LogExcerpt, Paragraph
from tp_mcp.tools import telling
from tp_mcp.tools.sending import accepted
from tp_mcp.tools.toolkit import Call, ToolArguments, ToolDefinition
from tp_mcp.watch.readings import Verdict
from tp_mcp.watch.registry import Accepted, Intent
from tp_mcp.watch.states import Origin, Watch, WatchState

START_TOOL = "start_upgrade"

Testbed = Annotated[str, Field(description="Testbed (= lab) name from list_labs.", examples=["AT16_Combined_FSW"])]


class StartUpgradeArguments(ToolArguments):
    """What `start_upgrade` takes."""

    testbed: Testbed
    mode: Annotated[
        Literal["build", "ga", "command"],
        Field(description="Where the image comes from; each mode needs the one argument of the same line below."),
    ]
    build_number: Annotated[
        str | None,
        Field(description='For mode "build": build number as text; leading zeros matter.', examples=["6957", "0815"]),
    ] = None
    version: Annotated[
        str | None, Field(description='For mode "ga": newest GA build of this version.', examples=["7.6.5"])
    ] = None
    command: Annotated[
        str | None,
        Field(
            description='For mode "command": the one line the build job prints: '
            "execute restore image scp <path> <host> <user> <password>"
        ),
    ] = None

    @field_validator("build_number", mode="before")
    @classmethod
    def _not_a_number(cls, value: object) -> object:
        if isinstance(value, int | float):
            raise ValueError(
                f"it is the number {value}, which may have lost a leading zero; pass it as text, "
                f'"{value}" or "0{value}"'
            )
        return value


class GetUpgradeArguments(ToolArguments):
    """What `get_upgrade` takes."""

    testbed: Testbed


async def start_upgrade(arguments: StartUpgradeArguments, call: Call) -> Document:
    """Start an upgrade and watch it."""
    services = call.services
    request = UpgradeRequest.checked(**arguments.model_dump())
    block = async_block(services.manifest, START_TOOL)
    await services.catalogue.require_lab("testbed", request.testbed)
    # Read before the start: until a worker picks the upgrade up, TP goes on showing the end of the one before.
    before = await services.client.get_upgrade(request.testbed)
    shown = _shown_arguments(request)

    async def send() -> Accepted:
        answer = await services.client.start_upgrade(request)
        result = answer.model_dump(mode="json")
        return accepted(result, lambda: poll_args(block, args=shown, result=result))

    watch = await services.registry.start(
        Intent(
            owner=call.owner,
            origin=Origin(START_TOOL, shown),
            title=_title(request),
            job=upgrade_job(request.testbed),
            spec=spec_of(block, rule=UPGRADE_RULE),
            baseline=upgrade_baseline(before),
        ),
        send,
    )
    return telling.started(
        watch,
        notes=("An upgrade takes 2 to 15 minutes, reboots the devices, and cannot be cancelled.",),
        advice="Run tests only once it has ended.",
    )


async def get_upgrade(arguments: GetUpgradeArguments, call: Call) -> Document:
    """Tell how a testbed's latest upgrade stands."""
    services = call.services
    await services.catalogue.require_lab("testbed", arguments.testbed)
    status = await services.client.get_upgrade(arguments.testbed)
    job = upgrade_job(arguments.testbed)
    await services.inbox.name(call.visit, job=job)
    mine = [
        watch
        for watch in await services.registry.list(
            call.owner, all_conversations=True, states=(WatchState.STARTING, WatchState.ACTIVE)
        )
        if watch.job == job
    ]
    sections = [Paragraph(line) for line in _watch_lines(mine)]
    logs = [
        LogExcerpt(heading=_device_line(device), text=device.log_tail, source=f"log of {word(device.ip)}")
        for device in status.per_device
    ]
    return Document(
        conclusion=f"The latest upgrade of {arguments.testbed} {_status_words(status)}.",
        sections=(*sections, *logs),
        next_step="" if mine else _unwatched_step(arguments.testbed, status),
    )


def _shown_arguments(request: UpgradeRequest) -> dict[str, JsonValue]:
    shown: dict[str, JsonValue] = {"testbed": request.testbed, "mode": request.mode.value}
    if request.build_number is not None:
        shown["build_number"] = request.build_number
    if request.version is not None:
        shown["version"] = request.version
    if request.command is not None:
        # The line as text masks its password.
        shown["command"] = str(request.command)
    return shown


def _title(request: UpgradeRequest) -> str:
    match request.mode:
        case UpgradeMode.BUILD:
            return f"upgrade of {request.testbed} to build {request.build_number}"
        case UpgradeMode.GA:
            return f"upgrade of {request.testbed} to the newest GA build of {request.version}"
        case UpgradeMode.COMMAND:
            return f"upgrade of {request.testbed} by a restore command"


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
            return f"has status {word(other) or 'none'}"


def _device_line(device: DeviceUpgrade) -> str:
    build = f", build {word(device.last_build_number)}" if device.last_build_number else ""
    by = f", by {word(device.last_task_type)}{build}" if device.last_task_type else build
    at = f", last sign of life {device.updated_at.isoformat(timespec='seconds')}" if device.updated_at else ""
    return f"{word(device.ip)}: {word(device.status)}{by}{at}"


def _watch_lines(watches: list[Watch]) -> list[str]:
    lines: list[str] = []
    for watch in watches:
        line = f"Watched as {watch.id} ({watch.title})."
        if watch.reading is None or watch.reading.verdict is Verdict.STALE:
            line += " It has not been seen to be picked up yet: what stands here may be the upgrade before it."
        lines.append(line)
    return lines


def _unwatched_step(testbed: str, status: UpgradeStatus) -> str:
    if status.status != "PROGRESS":
        return ""
    return f'start_watch(tool="{POLL_TOOL}", args={{"testbed": "{testbed}"}}) watches it to its end.'


TOOLS = (
    ToolDefinition(
        name=START_TOOL,
        title="Upgrade a testbed",
        description=(
            "Upgrade the firmware of a testbed's devices and watch it to its end in the background. Returns at "
            "once; the first line has the watch's id (w_...). The end is reported by itself on the next result "
            "of any tool: do not poll in a loop and do not start it again. Takes 2 to 15 minutes, reboots the "
            'devices and cannot be cancelled. Example: {"testbed": "AT16_Combined_FSW", "mode": "build", '
            '"build_number": "6957"}'
        ),
        arguments=StartUpgradeArguments,
        run=start_upgrade,
        read_only=False,
        destructive=True,
    ),
    ToolDefinition(
        name="get_upgrade",
        title="Show a testbed's upgrade",
        description=(
            "Show how a testbed's latest upgrade stands, per device, with the end of each log. The status "
            "belongs to the testbed: just after start_upgrade it may still show the upgrade before; the watch "
            "knows the difference."
        ),
        arguments=GetUpgradeArguments,
        run=get_upgrade,
        read_only=True,
    ),
)
