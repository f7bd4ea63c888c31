"""Keeping the logs of executions: TP shows only their ends, so whatever is read of one is added to what is kept."""

import logging
import re
from collections.abc import Mapping

from pydantic import JsonValue

from tp_mcp.api.client import TpClient
from tp_mcp.api.models import Execution
from tp_mcp.jobs.execution import DONE, ENDED_OTHERWISE, POLL_TOOL
from tp_mcp.results.kept_logs import KeptLogs, Tail
from tp_mcp.watch.ports import Reader

logger = logging.getLogger(__name__)

_LOG_HANDLE = re.compile(r"log-([1-9][0-9]{0,11})")


class KeepingReader:
    """A reader that keeps the end of the log of each execution that is polled."""

    def __init__(self, reader: Reader, logs: KeptLogs) -> None:
        self._reader = reader
        self._logs = logs

    async def read(self, tool: str, args: Mapping[str, JsonValue]) -> JsonValue:
        """Return TP's own JSON.

        Raises:
            TpError: there was no answer that could be read.

        """
        answer = await self._reader.read(tool, args)
        exec_id = args.get("exec_id")
        if tool == POLL_TOOL and isinstance(exec_id, int) and (tail := _tail_in(answer)) is not None:
            try:
                await self._logs.take_in(exec_id, tail)
            except Exception:
                # A poll tells of a job's end: no fault over its log may keep that from being seen.
                logger.exception("The log of execution %d could not be kept", exec_id)
        return answer


async def read_execution(client: TpClient, logs: KeptLogs, exec_id: int, principal: str) -> Execution:
    """Return an execution for a principal, who may read what is kept of its log from now on.

    Raises:
        TpError: it could not be read.

    """
    execution = await client.get_execution(exec_id)
    await logs.take_in(exec_id, _tail_of(execution), reader=principal)
    return execution


def log_handle(exec_id: int) -> str:
    """Return the handle of what is kept of an execution's log."""
    return f"log-{exec_id}"


def execution_of(handle: str) -> int | None:
    """Return the execution whose log has a handle; None for any other handle."""
    found = _LOG_HANDLE.fullmatch(handle)
    return None if found is None else int(found[1])


def _tail_in(answer: JsonValue) -> Tail | None:
    if not isinstance(answer, dict):
        return None
    text, size, status = answer.get("log_tail"), answer.get("log_size"), answer.get("status")
    if isinstance(text, str) and type(size) is int and isinstance(status, str):
        # As TP promises it; the model, which takes anything, would cost each poll several times as much.
        return Tail(text, size, final=_is_final(status))
    return _tail_of(Execution.model_validate(answer))


def _tail_of(execution: Execution) -> Tail:
    return Tail(execution.log_tail, execution.log_size, final=_is_final(execution.status))


def _is_final(status: str) -> bool:
    return status == DONE or status in ENDED_OTHERWISE
