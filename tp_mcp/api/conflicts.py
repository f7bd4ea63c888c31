"""What a 409 is about: a companion read shows it. Its failure never hides the 409."""

import json
from typing import Protocol

import anyio

from tp_mcp.api.answers import clean
from tp_mcp.api.models import ExecutionSummary, UpgradeStatus
from tp_mcp.errors import TpBusyError, TpMcpError
from tp_mcp.redaction import Redactor

COMPANION_SECONDS = 5.0
"""How long the companion read may take."""

MOST_SHOWN = 5
"""Devices or executions that are named."""

LONGEST_SHOWN = 60
"""Characters of a word of TP's that is repeated."""


class Reader(Protocol):
    """What is asked for the reason."""

    async def get_upgrade(self, testbed: str) -> UpgradeStatus:
        """Return how far an upgrade is."""
        ...

    async def list_executions(self) -> tuple[ExecutionSummary, ...]:
        """Return the user's recent executions."""
        ...


async def upgrade_under_way(busy: TpBusyError, reader: Reader, testbed: str) -> TpBusyError:
    """Return `busy` with how far the upgrade of `testbed` is."""
    shown = ""
    try:
        with anyio.move_on_after(COMPANION_SECONDS):
            status = await reader.get_upgrade(testbed)
            devices = ", ".join(
                f"{_word(each.ip)} {_word(each.status)}"
                + (f" (last sign of life {each.updated_at.isoformat()})" if each.updated_at else "")
                for each in status.per_device[:MOST_SHOWN]
            )
            shown = f" The upgrade there stands at {_word(status.status) or 'an unknown status'}" + (
                f": {devices}." if devices else "."
            )
    except TpMcpError:
        shown = " How far it is could not be read."
    return TpBusyError(
        busy.message + shown,
        remedy="An upgrade cannot be cancelled. "
        f"{_watched('get_upgrade', 'testbed', testbed)}; start again at its end.",
        status_code=busy.status_code,
    )


async def who_holds_the_lab(busy: TpBusyError, reader: Reader, lab: str) -> TpBusyError:
    """Return `busy` with the executions that hold `lab`, as far as they are the user's own."""
    shown = ""
    remedy = "Wait for its end, or choose another lab with list_labs."
    try:
        with anyio.move_on_after(COMPANION_SECONDS):
            running = [each for each in await reader.list_executions() if each.in_flight and each.lab == lab]
            if running:
                ids = ", ".join(f"{each.exec_id} ({_word(each.status)})" for each in running[:MOST_SHOWN])
                shown = f" It is execution {ids}, of the user that is logged in to TP."
                watched = _watched("get_execution", "exec_id", running[0].exec_id)
                remedy = f"{watched}. Cancel it only where your user started it."
            else:
                shown = " It is none of your own recent executions."
    except TpMcpError:
        shown = " Which execution it is could not be read."
    return TpBusyError(busy.message + shown, remedy=remedy, status_code=busy.status_code)


def _watched(tool: str, argument: str, value: str | int | None) -> str:
    # Not by the read alone: a model that is told to wait with a read asks again and again.
    watched = f"start_watch(tool={json.dumps(tool)}, args={json.dumps({argument: value}, ensure_ascii=False)})"
    return f"{watched} watches it to its end"


def _word(text: str) -> str:
    return clean(text, Redactor(), longest=LONGEST_SHOWN)
