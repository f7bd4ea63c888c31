"""Reading TP for polls, and keeping the logs of executions: TP shows only the end of a log, so each part is kept."""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping

import anyio
from anyio.abc import TaskGroup
from pydantic import JsonValue

from tp_mcp.api.client import TpClient
from tp_mcp.api.models import Execution
from tp_mcp.jobs.pytest_run.execution_rule import DONE, ENDED_OTHERWISE, POLL_TOOL
from tp_mcp.results.kept_logs import KeptLogs, Tail
from tp_mcp.watch.polling.interpretation import Reader

logger = logging.getLogger(__name__)

WAITING_MAX = 100
"""How many tails wait to be kept at most while polls go on; with more, the polls wait as well."""

_LOG_HANDLE = re.compile(r"log-([1-9][0-9]{0,11})")


class KeepingReader:
    """A reader that keeps the end of the log of each execution that is polled.

    No answer waits for it: an answer may hold the end of a job, and the end is reported at once.
    """

    def __init__(self, reader: Reader, logs: KeptLogs, task_group: TaskGroup) -> None:
        """Prepare.

        Args:
            reader: reads.
            logs: where ends of logs are kept.
            task_group: where they are kept; when it is cancelled, those that wait are kept all the same.
        """
        self._reader = reader
        self._logs = logs
        self._task_group = task_group
        self._waiting = 0

    async def read(self, tool: str, args: Mapping[str, JsonValue], identity: str = "") -> JsonValue:
        """Return TP's own JSON, asked for with the login of an identity.

        Raises:
            TpError: there was no answer that could be read.
        """
        answer = await self._reader.read(tool, args, identity)
        exec_id = args.get("exec_id")
        if tool == POLL_TOOL and isinstance(exec_id, int) and (tail := _tail_in(answer)) is not None:
            if self._waiting < WAITING_MAX:
                self._waiting += 1
                self._task_group.start_soon(self._keep_apart, exec_id, tail)
            else:
                await self._keep(exec_id, tail)
        return answer

    async def _keep_apart(self, exec_id: int, tail: Tail) -> None:
        # Once the end of a job is reported, its last tail is not read again.
        with anyio.CancelScope(shield=True):
            await self._keep(exec_id, tail)
        self._waiting -= 1

    async def _keep(self, exec_id: int, tail: Tail) -> None:
        try:
            await self._logs.take_in(exec_id, tail)
        except Exception:
            # A poll may hold the end of a job: a fault over the log must not hide it.
            logger.exception("The log of execution %d could not be kept", exec_id)


async def read_execution(client: TpClient, logs: KeptLogs, exec_id: int, principal: str) -> Execution:
    """Return an execution for a principal, who from now on may read the kept part of its log.

    Raises:
        TpError: it could not be read.
    """
    execution = await client.get_execution(exec_id)
    await logs.take_in(exec_id, _tail_of(execution), reader=principal)
    return execution


def log_handle(exec_id: int) -> str:
    """Return the handle of the kept log of an execution."""
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


class TpReader:
    """Reads TP once, as a read tool does; the poller's next poll is its only retry."""

    def __init__(self, client: TpClient, client_of: Callable[[str], Awaitable[TpClient]] | None = None) -> None:
        """Prepare.

        Args:
            client: speaks to TP with the configured login.
            client_of: gives the client of an identity; None where the configured login serves everybody.
        """
        self._client = client.without_retries()
        self._client_of = client_of

    async def read(self, tool: str, args: Mapping[str, JsonValue], identity: str = "") -> JsonValue:
        """Return TP's own JSON, asked for with the login of an identity.

        Raises:
            TpError: there was no answer that could be read.
        """
        client = self._client if self._client_of is None else (await self._client_of(identity)).without_retries()
        return await client.read_json(tool, args)
