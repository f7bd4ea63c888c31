"""The rule of upgrades.

A status belongs to the testbed, not to one upgrade: from the moment TP accepts an upgrade until a worker picks it up,
the status still shows the end of the upgrade before it. So the status before the start is kept as the baseline, and an
end counts only when each device was seen under way since, or its `updated_at` moved from the baseline.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue, TypeAdapter

from tp_mcp.api.lenient import parsed
from tp_mcp.api.models import DeviceUpgrade, UpgradeStatus
from tp_mcp.errors import TpNotJsonError
from tp_mcp.results.statuses import status_words, word
from tp_mcp.results.text import shorten
from tp_mcp.watch.model.reading import Interpretation, Reading, Settlement, Verdict, sign_of
from tp_mcp.watch.model.watch import Watch

UPGRADE_RULE = "upgrade"
POLL_TOOL = "get_upgrade"
UNDER_WAY = "PROGRESS"
SUCCEEDED = "SUCCESS"
BROKEN = frozenset({"FAILURE", "TIMEOUT"})
REMEMBERED_MAX_DEVICES = 200
"""How many devices a baseline and the memory hold at most; a testbed has a few."""

DETAIL_MAX_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class UpgradeBaseline:
    """The status before the start.

    Attributes:
        updated_at: when each device last changed.
        underway: devices whose upgrade was still under way. Its end moves `updated_at` as well.
    """

    updated_at: dict[str, str | None] = field(default_factory=dict)
    underway: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class UpgradeMemory:
    """The devices that were seen under way since the start."""

    underway: list[str] = field(default_factory=list)


_BASELINE = TypeAdapter(UpgradeBaseline)
_MEMORY = TypeAdapter(UpgradeMemory)


def upgrade_job(testbed: str) -> str:
    """Return the key of a testbed's upgrade."""
    return f"upgrade:{testbed}"


def upgrade_baseline(status: UpgradeStatus) -> JsonValue:
    """Return the baseline of an upgrade, from the status of its testbed before the start."""
    devices = _devices(status)[:REMEMBERED_MAX_DEVICES]
    baseline = UpgradeBaseline(
        updated_at={device.ip: _touched(device) for device in devices},
        underway=[device.ip for device in devices if device.status == UNDER_WAY],
    )
    as_json: JsonValue = _BASELINE.dump_python(baseline, mode="json")
    return as_json


class UpgradeRule:
    """Interprets a testbed's upgrade status."""

    def interpret(self, watch: Watch, answer: JsonValue) -> Interpretation:
        """Return the reading of a status.

        Raises:
            TpNotJsonError: the answer has not the shape that TP promises.
        """
        status = _status(answer)
        targets = _targets(watch, status)
        devices = [device for device in _devices(status) if device.ip in targets]
        seen = set(_memory(watch).underway) | {device.ip for device in devices if device.status == UNDER_WAY}
        memory = _MEMORY.dump_python(UpgradeMemory(sorted(seen)[:REMEMBERED_MAX_DEVICES]), mode="json")
        baseline = _baseline(watch)
        touched = [device for device in devices if device.ip in seen or _moved(device, baseline)]
        verdict = _verdict(status, touched, targets=len(targets))
        doubts = _doubts(watch, devices) if verdict in {Verdict.DONE, Verdict.FAILED} else ""
        reading = Reading(
            verdict=verdict,
            phase=status_words(status.status),
            probable=bool(doubts),
            broken=any(device.status in BROKEN for device in touched),
            sign_of_life=sign_of(";".join(f"{device.ip}={_touched(device)}" for device in devices)),
            detail=". ".join(part for part in (shorten(_detail(devices), DETAIL_MAX_CHARACTERS), doubts) if part),
        )
        return Interpretation(reading, memory)

    def settling_read(self, watch: Watch) -> tuple[str, Mapping[str, JsonValue]]:
        """Return the call that shows the testbed's status."""
        return POLL_TOOL, {"testbed": watch.testbed}

    def settle(self, watch: Watch, answer: JsonValue, *, taken: Collection[str]) -> Settlement:
        """Look for an upgrade whose start was never answered.

        Raises:
            TpNotJsonError: the answer has not the shape that TP promises.
        """
        status = _status(answer)
        if watch.job in taken:
            return Settlement(
                started=False, evidence="another upgrade of the testbed was started since; check get_upgrade."
            )
        baseline = _baseline(watch)
        moved = any(_moved(device, baseline) for device in _devices(status))
        if moved or (status.status == UNDER_WAY and not baseline.underway):
            evidence = f"the testbed's status is {status_words(status.status)} and moved since the request was sent."
            return Settlement(started=True, spec_args=self.settling_read(watch)[1], evidence=evidence)
        evidence = f"the testbed's status is {status_words(status.status)}, as before the request; check get_upgrade."
        return Settlement(started=False, evidence=evidence)


def _status(answer: JsonValue) -> UpgradeStatus:
    status = parsed(UpgradeStatus, answer)
    if not status.status:
        raise TpNotJsonError("TP's answer has no status of the upgrade.")
    return status


def _verdict(status: UpgradeStatus, touched: list[DeviceUpgrade], *, targets: int) -> Verdict:
    # The aggregate also counts devices that are no targets of this upgrade, and old ends of devices that no worker has
    # picked up yet. Only the statuses of the devices show an end.
    states = {device.status for device in touched}
    if UNDER_WAY in states:
        return Verdict.UNDERWAY
    if not touched:
        # Where TP shows no device at all, its aggregate is all there is.
        return Verdict.UNDERWAY if status.status == UNDER_WAY and not status.per_device else Verdict.STALE
    if len(touched) < targets or not states <= {SUCCEEDED, *BROKEN}:
        return Verdict.UNDERWAY
    if status.status == UNDER_WAY and targets == len(status.per_device):
        # All targets have ended, but the aggregate says that one has not: the next answer will agree with itself.
        return Verdict.UNDERWAY
    return Verdict.DONE if states == {SUCCEEDED} else Verdict.FAILED


def _doubts(watch: Watch, devices: list[DeviceUpgrade]) -> str:
    mode = watch.origin.arguments.get("mode")
    if mode is None:
        # It is somebody else's upgrade: this server sent no request to compare with.
        return ""
    build = _build(watch)
    underway = _memory(watch).underway
    for device in devices:
        if device.last_task_type and device.last_task_type != mode:
            return (
                f"TP shows an upgrade by {word(device.last_task_type)}, not by {mode}: a later one may hide this one."
            )
        if build and device.last_build_number and device.last_build_number != build:
            latest = word(device.last_build_number)
            return f"TP shows build {latest}, not {word(build)}: a later upgrade may hide this one."
        shows_latest = device.last_task_type and (device.last_build_number or not build)
        if not shows_latest and device.ip not in underway:
            return "It was never seen under way, and TP does not show the latest upgrade."
    return ""


def _build(watch: Watch) -> str | None:
    # In mode `ga` TP chooses the build and returns it in its answer.
    answered = watch.answer.get("build_number") if isinstance(watch.answer, dict) else None
    build = answered or watch.origin.arguments.get("build_number")
    return build if isinstance(build, str) else None


def _detail(devices: list[DeviceUpgrade]) -> str:
    if not devices:
        return "TP shows no device"
    return ", ".join(f"{word(device.ip)} {status_words(device.status)}" for device in devices)


def _targets(watch: Watch, status: UpgradeStatus) -> frozenset[str]:
    ips = watch.answer.get("target_ips") if isinstance(watch.answer, dict) else None
    targets = frozenset(word(ip) for ip in ips if isinstance(ip, str)) if isinstance(ips, list) else frozenset()
    return targets or frozenset(device.ip for device in _devices(status))


def _devices(status: UpgradeStatus) -> list[DeviceUpgrade]:
    # Addresses are kept with the watch, and may be anything of any length.
    return [device.model_copy(update={"ip": word(device.ip)}) for device in status.per_device]


def _moved(device: DeviceUpgrade, baseline: UpgradeBaseline) -> bool:
    touched = _touched(device)
    if touched is None or device.ip in baseline.underway:
        return False
    return touched != baseline.updated_at.get(device.ip)


def _touched(device: DeviceUpgrade) -> str | None:
    return None if device.updated_at is None else device.updated_at.isoformat()


def _baseline(watch: Watch) -> UpgradeBaseline:
    return UpgradeBaseline() if watch.baseline is None else _BASELINE.validate_python(watch.baseline)


def _memory(watch: Watch) -> UpgradeMemory:
    return UpgradeMemory() if watch.memory is None else _MEMORY.validate_python(watch.memory)
