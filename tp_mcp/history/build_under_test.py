"""The build on a testbed, from TP's upgrade status or a watched upgrade."""

import re

from pydantic import JsonValue

from tp_mcp.api.lenient import parsed
from tp_mcp.api.models import UpgradeStatus
from tp_mcp.history.records import Upgrade
from tp_mcp.jobs.upgrade.upgrade_rule import BROKEN, SUCCEEDED, UPGRADE_RULE
from tp_mcp.results.statuses import word
from tp_mcp.watch.delivery.messages import is_doubtful
from tp_mcp.watch.model.watch import Watch, WatchState

_IMAGE_BUILD = re.compile(r"build_?(\d{1,12})", re.IGNORECASE)


def shown_upgrade(server: str, testbed: str, status: UpgradeStatus) -> Upgrade | None:
    """Return the latest ended upgrade in a status; None if it shows none.

    The build is unknown after a failed upgrade, or if the devices have different builds.
    """
    moments = [device.updated_at.timestamp() for device in status.per_device if device.updated_at is not None]
    states = {device.status for device in status.per_device}
    if not moments or not states <= {SUCCEEDED, *BROKEN}:
        return None
    builds = {device.last_build_number or "" for device in status.per_device}
    build = builds.pop() if states == {SUCCEEDED} and len(builds) == 1 else ""
    return Upgrade(server, testbed, max(moments), word(build) if build else "")


def watched_upgrade(watch: Watch) -> Upgrade | None:
    """Return the upgrade that a watch saw succeed; None if it saw none, or possibly another one."""
    if watch.spec.rule != UPGRADE_RULE or watch.state is not WatchState.DONE or is_doubtful(watch):
        return None
    latest = shown_upgrade(watch.server, watch.testbed, parsed(UpgradeStatus, watch.last_answer))
    if latest is None:
        return None
    return latest if latest.build else Upgrade(latest.server, latest.testbed, latest.at, _requested_build(watch))


def _requested_build(watch: Watch) -> str:
    answer: JsonValue = watch.answer
    answered = answer.get("build_number") if isinstance(answer, dict) else None
    build = answered or watch.origin.arguments.get("build_number")
    if isinstance(build, str) and build:
        return word(build)
    command = watch.origin.arguments.get("command")
    found = _IMAGE_BUILD.findall(command) if isinstance(command, str) else []
    return str(found[-1]) if found else ""
