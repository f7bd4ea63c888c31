"""The testbeds' upgrades: dispatch, status, and the running build of each device."""

import random
import shlex
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tp_mcp.simulator.refusals import Reason, Refusal
from tp_mcp.simulator.testbeds.build_server import BuildServer, build_of_image
from tp_mcp.simulator.testbeds.device_upgrade import (
    FAILURE,
    PROGRESS,
    SUCCESS,
    TIMEOUT,
    UNKNOWN,
    UpgradeTask,
    aggregate,
    iso,
)
from tp_mcp.simulator.testbeds.lab import Device, Lab

PICK_UP_SECONDS = 20.0
PICK_UP_SPREAD_SECONDS = 6.0
UPGRADE_SECONDS = 190.0
UPGRADE_SPREAD_SECONDS = 17.0
UPGRADE_JITTER_SECONDS = 20.0
REFUSED_IMAGE_SECONDS = 24.0
TIMEOUT_SECONDS = 900.0
RESTORE_COMMAND = "execute restore image"


@dataclass(frozen=True, slots=True)
class UpgradeOrder:
    """What was asked for, checked.

    Attributes:
        build: the ordered build; '' if it is unknown.
        answered_build: `build_number` in the answer of the POST.
        shown_build: `last_build_number` in later GETs.
        reason: why it will fail, '' when it will not.
    """

    mode: str
    build: str
    answered_build: str
    shown_build: str | None
    command: str
    reason: str = ""


def read_order(body: dict[str, Any], server: BuildServer) -> UpgradeOrder:
    """Check an upgrade request.

    An unknown build or version is not refused: it is found out by the worker.

    Raises:
        Refusal: (INVALID) if the mode is unknown, or one of its fields is missing.
    """
    mode = body.get("mode")
    match mode:
        case "command":
            command = _text(body, "command", mode)
            if not command.startswith(RESTORE_COMMAND):
                raise Refusal(Reason.INVALID, f"command must start with '{RESTORE_COMMAND}'")
            build = build_of_image(_image_path(command))
            reason = "" if build in server.builds else "scp: image file not found. Command fail. Return code -39"
            return UpgradeOrder(mode, build, "", None, command, reason)
        case "build":
            build = _text(body, "build_number", mode)
            reason = "" if build in server.builds else f"build {build} not found on the build server"
            return UpgradeOrder(mode, build, build, build, _restore_line(build), reason)
        case "ga":
            version = _text(body, "version", mode)
            build = server.ga.get(version, "")
            reason = "" if build else f"no GA build of version {version} on the build server"
            return UpgradeOrder(mode, build, build, build or None, _restore_line(build or version), reason)
        case _:
            raise Refusal(Reason.INVALID, "mode must be one of 'command', 'build', 'ga'")


class Testbeds:
    """The upgrades of all testbeds, by device."""

    __test__ = False

    def __init__(self, labs: Sequence[Lab], *, seed: int, now: float) -> None:
        self._random = random.Random(seed)  # noqa: S311 - reproducible durations, nothing secret
        self._devices: dict[str, Device] = {}
        self._tasks: dict[str, tuple[UpgradeTask, ...]] = {}
        self._hanging: set[str] = set()
        for lab in labs:
            self.add(lab, now)

    def add(self, lab: Lab, now: float) -> None:
        """Add a lab's devices, with the upgrade described by its `past`."""
        for device in lab.devices:
            self._devices[device.ip] = device
            self._tasks[device.ip] = ()
        if lab.past is None:
            return
        began = now - lab.past.seconds_ago
        order = UpgradeOrder(
            lab.past.mode,
            lab.device_under_test.build,
            "",
            None if lab.past.mode == "command" else lab.device_under_test.build,
            _restore_line(lab.device_under_test.build),
            "" if lab.past.status == SUCCESS else "scp: connection timed out. Command fail. Return code -39",
        )
        for index, device in enumerate(lab.targets):
            task = self._plan(device.ip, order, began, index)
            self._tasks[device.ip] = (replace(task, outcome=lab.past.status),)

    def hang_next_upgrade(self, ip: str) -> None:
        """Hang in the reboot of the next upgrade, which ends `TIMEOUT`. Raises Refusal (UNKNOWN) for another device."""
        if ip not in self._devices:
            raise Refusal(Reason.UNKNOWN, f"no device '{ip}'")
        self._hanging.add(ip)

    def dispatch(self, lab: Lab, order: UpgradeOrder, now: float) -> tuple[UpgradeTask, ...]:
        """Give the workers one task per target. Raises Refusal (INVALID) without one, (CONFLICT) in `PROGRESS`."""
        if not lab.targets:
            raise Refusal(Reason.INVALID, f"testbed '{lab.name}' has no device named *nac* or *ncm*")
        for device in lab.targets:
            if self.status(device.ip, now) == PROGRESS:
                raise Refusal(Reason.CONFLICT, f"an upgrade is already in progress on {device.ip}")
        planned = tuple(self._plan(device.ip, order, now, index) for index, device in enumerate(lab.targets))
        for task in planned:
            self._tasks[task.ip] = (*self._tasks[task.ip], task)
        return planned

    def kill_workers(self, lab: Lab, now: float) -> None:
        """Kill the workers of the testbed's unfinished tasks: their status is no longer written."""
        for device in lab.targets:
            self._tasks[device.ip] = tuple(
                task if task.died_at is not None or task.ends_at <= now else replace(task, died_at=now)
                for task in self._tasks[device.ip]
            )

    def revive_workers(self, lab: Lab) -> None:
        """Let dead workers write the status again. Raises Refusal (INVALID) if none of the testbed's workers died."""
        if all(task.died_at is None for device in lab.targets for task in self._tasks[device.ip]):
            raise Refusal(Reason.INVALID, f"testbed '{lab.name}' has no worker that could go on")
        for device in lab.targets:
            self._tasks[device.ip] = tuple(replace(task, died_at=None) for task in self._tasks[device.ip])

    def task(self, ip: str, celery_id: str) -> UpgradeTask | None:
        """Return a device's task by its id; None if its lab was replaced since."""
        return next((task for task in reversed(self._tasks.get(ip, ())) if task.celery_id == celery_id), None)

    def status(self, ip: str, now: float) -> str:
        """Return the device's status as a GET shows it."""
        task = self._shown(ip, now)
        return UNKNOWN if task is None else task.status(now)

    def view(self, lab: Lab, now: float) -> dict[str, Any]:
        """Return the answer to a GET of the testbed's upgrade."""
        rows = [self._row(device.ip, now) for device in lab.targets]
        return {
            "testbed": lab.name,
            "status": aggregate([row["status"] for row in rows]),
            "target_ips": [device.ip for device in lab.targets],
            "per_device": rows,
        }

    def running_build(self, ip: str, now: float) -> str | None:
        """Return the build that runs on the device; None while it does not answer."""
        for task in reversed(self._tasks[ip]):
            if task.device_acted(now):
                return task.build if now >= task.reboot_ends_at else None
        return self._devices[ip].build

    def _row(self, ip: str, now: float) -> dict[str, Any]:
        task = self._shown(ip, now)
        return {
            "ip": ip,
            "status": task.status(now) if task else UNKNOWN,
            "last_task_type": task and task.mode,
            "last_build_number": task and task.shown_build,
            "updated_at": task and iso(task.updated_at(now)),
            "log_tail": task.log_tail(now) if task else "",
        }

    def _shown(self, ip: str, now: float) -> UpgradeTask | None:
        return next((task for task in reversed(self._tasks.get(ip, ())) if task.picked_up(now)), None)

    def _plan(self, ip: str, order: UpgradeOrder, now: float, index: int) -> UpgradeTask:
        picked_up_at = now + PICK_UP_SECONDS + PICK_UP_SPREAD_SECONDS * index
        if earlier := self._tasks[ip]:
            picked_up_at = max(picked_up_at, earlier[-1].ends_at)
        outcome, reason = SUCCESS, ""
        lasts = UPGRADE_SECONDS + UPGRADE_SPREAD_SECONDS * index + self._random.uniform(0, UPGRADE_JITTER_SECONDS)
        if order.reason:
            outcome, reason, lasts = FAILURE, order.reason, REFUSED_IMAGE_SECONDS
        elif ip in self._hanging:
            self._hanging.remove(ip)
            outcome, lasts = TIMEOUT, TIMEOUT_SECONDS
            reason = f"timed out: {ip} did not answer within {TIMEOUT_SECONDS:.0f} s after the reboot"
        return UpgradeTask(
            celery_id=str(uuid.UUID(int=self._random.getrandbits(128), version=4)),
            ip=ip,
            mode=order.mode,
            shown_build=order.shown_build,
            build=order.build,
            command=order.command,
            dispatched_at=now,
            picked_up_at=picked_up_at,
            ends_at=picked_up_at + lasts,
            outcome=outcome,
            reason=reason,
        )


def _text(body: dict[str, Any], name: str, mode: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise Refusal(Reason.INVALID, f"{name} (string) is required for mode '{mode}'")
    return value


def _image_path(command: str) -> str:
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    return words[4] if len(words) > 4 else ""


def _restore_line(build: str) -> str:
    return f"{RESTORE_COMMAND} scp /images/FSW/build{build}/FSW_448E-build{build}.out 10.15.1.20 builder ********"
