"""Models of TP's answers. Their strings are unchecked data from outside: never a template, never a command."""

import re
from typing import Annotated

from pydantic import AliasChoices, BeforeValidator, Field

from tp_mcp.api.lenient import Moment, Text, Texts, TpModel, Whole, each_valid, object_of

_DEVICE = re.compile(r"dev(\d{1,4})")


class UpgradeTask(TpModel):
    """The part of an upgrade that concerns one device."""

    ip: Text = ""
    celery_id: Text = ""


class UpgradeStarted(TpModel):
    """An accepted upgrade; workers pick it up later."""

    testbed: Text = ""
    mode: Text = ""
    build_number: Text = ""
    target_ips: Texts = ()
    tasks: Annotated[tuple[UpgradeTask, ...], BeforeValidator(lambda value: each_valid(UpgradeTask, value))] = ()


class DeviceUpgrade(TpModel):
    """Progress of one device's upgrade.

    Attributes:
        status: `PROGRESS`, `SUCCESS`, `FAILURE` or `TIMEOUT`.
        updated_at: latest sign of life of the worker.
        log_tail: last 2 KB of the SSH session.
    """

    ip: Text = ""
    status: Text = ""
    last_task_type: Text = ""
    last_build_number: Text = ""
    updated_at: Moment = None
    log_tail: Text = ""


class UpgradeStatus(TpModel):
    """Progress of a testbed's upgrade; it shows the previous upgrade until a worker picks up the new one.

    Attributes:
        status: `UNKNOWN`, `PROGRESS`, `SUCCESS` or `FAILURE`.
    """

    testbed: Text = ""
    status: Text = ""
    target_ips: Texts = ()
    per_device: Annotated[
        tuple[DeviceUpgrade, ...], BeforeValidator(lambda value: each_valid(DeviceUpgrade, value))
    ] = ()


class ExecutionStarted(TpModel):
    """An accepted pytest run."""

    exec_id: int = Field(gt=0)
    status: Text = ""
    lab: Text = ""
    testcase_count: Whole = None


class Execution(TpModel):
    """A pytest run.

    Attributes:
        status: `Initiating`, `Running`, `Done`, `Failed` or `Cancelled`. `Done` only means that pytest ended; the
            counts show whether tests failed.
        pass_count: number of passed tests; like the other counts, None if unknown.
        report_file_path: path of the report below the base URL; empty without a report.
        log_size: size of the log so far, in bytes; `log_tail` is its last 4 KB.
    """

    exec_id: Whole = Field(default=None, validation_alias=AliasChoices("exec_id", "id"))
    status: Text = ""
    lab: Text = ""
    controller: Text = ""
    remote_pid: Text = ""
    pass_count: Whole = None
    fail_count: Whole = None
    skip_count: Whole = None
    error_count: Whole = None
    total_count: Whole = None
    start_timestamp: Moment = None
    end_timestamp: Moment = None
    report_file_path: Text = ""
    log_file_path: Text = ""
    log_size: Whole = None
    log_tail: Text = ""


class ExecutionSummary(TpModel):
    """A row of a user's recent executions. TP's field names vary, so several are accepted."""

    exec_id: Whole = Field(default=None, validation_alias=AliasChoices("exec_id", "id", "execution_id"))
    lab: Text = Field(default="", validation_alias=AliasChoices("lab", "lab_name", "testbed", "name"))
    status: Text = ""
    progress: Text = ""
    user: Text = Field(default="", validation_alias=AliasChoices("user", "username"))
    start_timestamp: Moment = None
    end_timestamp: Moment = None
    report_file_path: Text = ""
    log_file_path: Text = ""

    @property
    def in_flight(self) -> bool:
        """True if the execution occupies its lab."""
        return self.status in ("Initiating", "Running")


class Device(TpModel):
    """A device of a lab."""

    name: Text = ""
    ip: Text = ""


def _devices(value: object) -> tuple[Device, ...]:
    if isinstance(value, tuple):
        return value
    deployed = object_of(value)
    numbers = sorted(int(match[1]) for key in deployed if (match := _DEVICE.fullmatch(key)))
    return tuple(Device(name=deployed.get(f"dev{each}"), ip=deployed.get(f"ip{each}")) for each in numbers)


class Lab(TpModel):
    """A lab that the user may use; its name is also its testbed's.

    Attributes:
        status: `Available` or `Running`.
        devices: devices in `deployinfo`, in the order of `dev1`, `dev2`, ...
    """

    name: str = Field(min_length=1)
    status: Text = ""
    users: Texts = ()
    usedby: Texts = ()
    devices: Annotated[tuple[Device, ...], BeforeValidator(_devices)] = Field(
        default=(), validation_alias=AliasChoices("deployinfo", "devices")
    )
