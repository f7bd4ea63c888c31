"""The rule of upgrades.

A status belongs to the testbed, not to a dispatch: from the moment TP accepts an upgrade until a worker picks it up, it
still shows the end of the one before. So what stood there before the start is kept as the baseline, and an end counts
only when each device was seen under way since, or its `updated_at` moved from the baseline.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue, TypeAdapter

from tp_mcp.api.models import DeviceUpgrade, UpgradeStatus
from tp_mcp.jobs.answers import parsed, word
from tp_mcp.watch.ports import Interpretation, Settlement
from tp_mcp.watch.readings import Reading, Verdict
from tp_mcp.watch.states import Watch

UPGRADE_RULE = "upgrade"
POLL_TOOL = "get_upgrade"
UNDER_WAY = "PROGRESS"
SUCCEEDED = "SUCCESS"
NEVER_UPGRADED = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class UpgradeBaseline:
    """What stood before the start: when each device was last touched, as TP wrote it."""

    updated_at: dict[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UpgradeMemory:
    """What was seen since the start: the devices that were under way."""

    underway: list[str] = field(default_factory=list)


_BASELINE = TypeAdapter(UpgradeBaseline)
_MEMORY = TypeAdapter(UpgradeMemory)


def upgrade_job(testbed: str) -> str:
    """Return the key of a testbed's upgrade."""
    return f"upgrade:{testbed}"


def upgrade_baseline(status: UpgradeStatus) -> JsonValue:
    """Return what has to be known of a testbed before it is upgraded."""
    baseline = UpgradeBaseline({device.ip: _touched(device) for device in status.per_device})
    kept: JsonValue = _BASELINE.dump_python(baseline, mode="json")
    return kept


class UpgradeRule:
    """Tells how an upgrade stands from the status of its testbed."""

    def interpret(self, watch: Watch, answer: JsonValue) -> Interpretation:
        """Tell what a status says of the watched upgrade.

        Raises:
            TpNotJsonError: the answer has not the shape that TP promises.

        """
        status = parsed(UpgradeStatus, answer)
        devices = _concerned(watch, status)
        seen = set(_memory(watch).underway) | {device.ip for device in devices if device.status == UNDER_WAY}
        memory = _MEMORY.dump_python(UpgradeMemory(sorted(seen)), mode="json")
        baseline = _baseline(watch)
        touched = [device for device in devices if device.ip in seen or _moved(device, baseline)]
        verdict = _verdict(status, touched=len(touched), devices=len(devices))
        doubts = _doubts(watch, devices) if verdict in {Verdict.DONE, Verdict.FAILED} else ""
        reading = Reading(
            verdict=verdict,
            phase=word(status.status),
            probable=bool(doubts),
            sign_of_life=";".join(f"{device.ip}={_touched(device)}" for device in devices),
            detail=". ".join(part for part in (_detail(devices), doubts) if part),
        )
        return Interpretation(reading, memory)

    def settling_read(self, watch: Watch) -> tuple[str, Mapping[str, JsonValue]]:
        """Return the call that shows the testbed's status."""
        return POLL_TOOL, {"testbed": watch.origin.arguments["testbed"]}

    def settle(self, watch: Watch, answer: JsonValue) -> Settlement:
        """Tell whether an upgrade whose start was never answered is under way after all.

        Raises:
            TpNotJsonError: the answer has not the shape that TP promises.

        """
        status = parsed(UpgradeStatus, answer)
        baseline = _baseline(watch)
        moved = [device.ip for device in status.per_device if _moved(device, baseline)]
        if status.status == UNDER_WAY or moved:
            evidence = f"the testbed's status is {word(status.status)} and moved since the request was sent."
            return Settlement(started=True, spec_args=self.settling_read(watch)[1], evidence=evidence)
        evidence = f"the testbed's status is {word(status.status)}, as before the request; check get_upgrade."
        return Settlement(started=None, evidence=evidence)


def _verdict(status: UpgradeStatus, *, touched: int, devices: int) -> Verdict:
    if status.status == UNDER_WAY:
        return Verdict.UNDERWAY
    if touched == 0 or status.status == NEVER_UPGRADED:
        return Verdict.STALE
    if touched < devices:
        # The aggregate still counts the old end of a device that no worker has picked up yet.
        return Verdict.UNDERWAY
    return Verdict.DONE if status.status == SUCCEEDED else Verdict.FAILED


def _doubts(watch: Watch, devices: list[DeviceUpgrade]) -> str:
    mode = watch.origin.arguments.get("mode")
    if mode is None:
        # Somebody else's upgrade is watched: there is nothing that was asked for to compare with.
        return ""
    build = _build(watch)
    underway = _memory(watch).underway
    for device in devices:
        if device.last_task_type and device.last_task_type != mode:
            return (
                f"TP shows an upgrade by {word(device.last_task_type)}, not by {mode}: a later one may hide this one."
            )
        if build and device.last_build_number and device.last_build_number != build:
            shown = word(device.last_build_number)
            return f"TP shows build {shown}, not {word(build)}: a later upgrade may hide this one."
        if not device.last_task_type and device.ip not in underway:
            return "It was never seen under way, and TP does not show what was upgraded last."
    return ""


def _build(watch: Watch) -> str | None:
    # In mode `ga` the server chooses the build and tells it in its answer.
    told = watch.answer.get("build_number") if isinstance(watch.answer, dict) else None
    asked = watch.origin.arguments.get("build_number")
    build = told or asked
    return build if isinstance(build, str) else None


def _detail(devices: list[DeviceUpgrade]) -> str:
    if not devices:
        return "TP shows no device"
    return ", ".join(f"{word(device.ip)} {word(device.status)}" for device in devices)


def _concerned(watch: Watch, status: UpgradeStatus) -> list[DeviceUpgrade]:
    targets = watch.answer.get("target_ips") if isinstance(watch.answer, dict) else None
    if not isinstance(targets, list) or not targets:
        return list(status.per_device)
    return [device for device in status.per_device if device.ip in targets]


def _moved(device: DeviceUpgrade, baseline: UpgradeBaseline) -> bool:
    touched = _touched(device)
    return touched is not None and touched != baseline.updated_at.get(device.ip)


def _touched(device: DeviceUpgrade) -> str | None:
    return None if device.updated_at is None else device.updated_at.isoformat()


def _baseline(watch: Watch) -> UpgradeBaseline:
    return UpgradeBaseline() if watch.baseline is None else _BASELINE.validate_python(watch.baseline)


def _memory(watch: Watch) -> UpgradeMemory:
    return UpgradeMemory() if watch.memory is None else _MEMORY.validate_python(watch.memory)
