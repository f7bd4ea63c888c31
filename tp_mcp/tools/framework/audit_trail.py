"""The audit log's first and last line of a call that would change TP."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from tp_mcp.access.audit_log import Event
from tp_mcp.access.control import Trail
from tp_mcp.errors import TpMcpError
from tp_mcp.tools.framework.questions import QuestionForUser

Result = TypeVar("Result")

MASKED_ARGUMENTS = frozenset({"command"})
"""What is not written as it was passed: it holds a password that nobody has told apart yet."""


async def audited(
    trail: Trail, raw: Mapping[str, Any], work: Callable[[], Awaitable[Result]], summary: Callable[[Result], str]
) -> Result:
    """Do the work of a call, and write the request before and the outcome after it.

    Args:
        trail: the audit log's lines of this call.
        raw: the arguments as they came.
        work: does the work.
        summary: returns the outcome in a sentence.

    Raises:
        StoreError: the request could not be written down, so nothing was sent.
        TpMcpError: what the work raises.

    """
    await trail.write(Event.ASKED, _arguments(raw))
    try:
        result = await work()
    except QuestionForUser:
        raise
    except TpMcpError as error:
        await trail.write_if_possible(Event.REFUSED, str(error))
        raise
    except BaseException as error:
        await trail.write_if_possible(Event.OUTCOME, f"ended by {type(error).__name__}")
        raise
    await trail.write_if_possible(Event.OUTCOME, summary(result))
    return result


def _arguments(raw: Mapping[str, Any]) -> str:
    shown = {name: "(masked)" if name in MASKED_ARGUMENTS else value for name, value in raw.items()}
    return json.dumps(shown, ensure_ascii=False, default=str)
