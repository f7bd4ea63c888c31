"""Upgrades as a kind of job."""

from typing import assert_never

from pydantic import JsonValue

from tp_mcp.access.policy import Action
from tp_mcp.api.client import TpClient
from tp_mcp.api.requests import UpgradeMode, UpgradeRequest
from tp_mcp.jobs.kind import JobKind
from tp_mcp.jobs.upgrade.upgrade_rule import UPGRADE_RULE, UpgradeRule, upgrade_baseline, upgrade_job
from tp_mcp.watch.delivery.messages import call_words
from tp_mcp.watch.model.watch import Watch, WatchState


class Upgrades(JobKind[UpgradeRequest]):
    """Firmware upgrades of a testbed's devices."""

    name = UPGRADE_RULE
    tool = "start_upgrade"
    testbed_argument = "testbed"
    action = Action.UPGRADE
    rule = UpgradeRule()
    start_notes = ("An upgrade takes 2 to 15 minutes, reboots the devices, and cannot be cancelled.",)
    advice = "Run tests only once it has ended."
    usual = "An upgrade usually takes 2 to 15 minutes."

    def testbed(self, request: UpgradeRequest) -> str:
        """Return the testbed that is upgraded."""
        return request.testbed

    def title(self, request: UpgradeRequest) -> str:
        """Return which testbed gets which image."""
        match request.mode:
            case UpgradeMode.BUILD | UpgradeMode.GA:
                return f"upgrade of {request.testbed} to {self.target(request)}"
            case UpgradeMode.COMMAND:
                return f"upgrade of {request.testbed} by a restore command"
            case _:
                assert_never(request.mode)

    def job(self, request: UpgradeRequest) -> str:
        """Return the key of the testbed's upgrade: TP has at most one at a time."""
        return upgrade_job(request.testbed)

    def arguments(self, request: UpgradeRequest) -> dict[str, JsonValue]:
        """Return the arguments of the request's mode; the text of a restore command masks its password."""
        image = {
            "build_number": request.build_number,
            "version": request.version,
            "command": None if request.command is None else str(request.command),
        }
        given = {name: value for name, value in image.items() if value is not None}
        return {"testbed": request.testbed, "mode": request.mode.value, **given}

    def secret(self, request: UpgradeRequest) -> str:
        """Return the password of a restore command.

        Two commands that differ in the password alone are two calls: the second may be there to correct the first.
        """
        return "" if request.command is None else request.command.password.get_secret_value()

    def target(self, request: UpgradeRequest) -> str:
        """Return the image that the testbed gets."""
        match request.mode:
            case UpgradeMode.BUILD:
                return f"build {request.build_number}"
            case UpgradeMode.GA:
                return f"the newest GA build of {request.version}"
            case UpgradeMode.COMMAND:
                return f"the image of {request.command}"
            case _:
                assert_never(request.mode)

    async def baseline(self, request: UpgradeRequest, client: TpClient) -> JsonValue:
        """Return the testbed's status before the start.

        Until a worker picks the upgrade up, TP goes on showing the end of the one before.
        """
        return upgrade_baseline(await client.get_upgrade(request.testbed))

    def duration_groups(self, request: UpgradeRequest) -> tuple[str, ...]:
        """Return one group: the upgrades of the testbed."""
        return (f"upgrade:{request.testbed}",)

    async def send(self, request: UpgradeRequest, client: TpClient) -> JsonValue:
        """Start the upgrade."""
        answer: JsonValue = (await client.start_upgrade(request)).model_dump(mode="json")
        return answer

    def look_call(self, watch: Watch) -> str:
        """Return the call that shows the testbed's upgrade."""
        return call_words("get_upgrade", {"testbed": watch.testbed})

    def next_step(self, watch: Watch) -> str:
        """Offer a run after a good end, and the devices' logs after any other."""
        if watch.state is WatchState.DONE:
            run = call_words("run_pytest", {"lab": watch.testbed, "testcase": ["..."]})
            return f"Tests can run on it now: {run}."
        return f"{self.look_call(watch)} shows each device and the end of its log."

    def after_cancelled_watch(self, watch: Watch) -> str:  # noqa: ARG002 -- it holds for each of them
        """Return that TP cannot cancel an upgrade."""
        return "The upgrade itself cannot be cancelled."
