"""Finds the reason for a 409 with one more read. If that read fails, the 409 is still reported."""

import json
from typing import Protocol

import anyio

from tp_mcp.api.answers import clean
from tp_mcp.api.models import ExecutionSummary, UpgradeStatus
from tp_mcp.errors import TpBusyError, TpMcpError
from tp_mcp.redaction import Redactor

COMPANION_SECONDS = 5.0
"""Time limit of the additional read, in seconds."""

MOST_SHOWN = 5
"""Limit of the named devices or executions."""

LONGEST_SHOWN = 60
"""Limit of a repeated word of TP's, in characters."""


class Reader(Protocol):
    """Reads of TP that explain a 409."""

    async def get_upgrade(self, testbed: str) -> UpgradeStatus:
        """Return the progress of an upgrade."""

    async def list_executions(self) -> tuple[ExecutionSummary, ...]:
        """Return the user's recent executions."""


async def upgrade_under_way(busy: TpBusyError, reader: Reader, testbed: str) -> TpBusyError:
    """Return `busy` with the progress of the testbed's upgrade."""
    reason = ""
    try:
        with anyio.move_on_after(COMPANION_SECONDS):
            status = await reader.get_upgrade(testbed)
            devices = ", ".join(
                f"{_word(each.ip)} {_word(each.status)}"
                + (f" (last sign of life {each.updated_at.isoformat()})" if each.updated_at else "")
                for each in status.per_device[:MOST_SHOWN]
            )
            reason = f" The upgrade there has the status {_word(status.status) or 'unknown'}" + (
                f": {devices}." if devices else "."
            )
    except TpMcpError:
        reason = " Its progress could not be read."
    return TpBusyError(
        busy.message + reason,
        remedy="An upgrade cannot be cancelled. "
        f"{_watched('get_upgrade', 'testbed', testbed)}; start again at its end.",
        status_code=busy.status_code,
    )


async def who_holds_the_lab(busy: TpBusyError, reader: Reader, lab: str) -> TpBusyError:
    """Return `busy` with the user's own executions that hold the lab."""
    reason = ""
    remedy = "Wait for its end, or choose another lab with list_labs."
    try:
        with anyio.move_on_after(COMPANION_SECONDS):
            running = [each for each in await reader.list_executions() if each.in_flight and each.lab == lab]
            if running:
                ids = ", ".join(f"{each.exec_id} ({_word(each.status)})" for each in running[:MOST_SHOWN])
                reason = f" It is execution {ids}, of the user who is logged in to TP."
                watched = _watched("get_execution", "exec_id", running[0].exec_id)
                remedy = f"{watched}. Cancel it only if your user started it."
            else:
                reason = " It is none of your own recent executions."
    except TpMcpError:
        reason = " Which execution it is could not be read."
    return TpBusyError(busy.message + reason, remedy=remedy, status_code=busy.status_code)


def _watched(tool: str, argument: str, value: str | int | None) -> str:
    # Never suggest the read alone: a model would poll with it.
    watched = f"start_watch(tool={json.dumps(tool)}, args={json.dumps({argument: value}, ensure_ascii=False)})"
    return f"{watched} watches it to its end"


def _word(text: str) -> str:
    return clean(text, Redactor(), longest=LONGEST_SHOWN)
