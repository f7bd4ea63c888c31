"""The audit log's first and last line of a call that would change TP."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tp_mcp.access.audit_log import Event
from tp_mcp.access.control import Trail
from tp_mcp.errors import TpMcpError
from tp_mcp.results.document import Document
from tp_mcp.tools.framework.questions import QuestionForUser

MASKED_ARGUMENTS = frozenset({"command"})
"""What is not written as it was passed: it holds a password that nobody has told apart yet."""


async def audited(trail: Trail, raw: Mapping[str, Any], work: Callable[[], Awaitable[Document]]) -> Document:
    """Do the work of a call, and write who asked for what and what came of it.

    Raises:
        StoreError: the request could not be written down, so nothing was sent.
        TpMcpError: what the work raises.

    """
    await trail.write(Event.ASKED, _arguments(raw))
    try:
        document = await work()
    except QuestionForUser:
        raise
    except TpMcpError as error:
        await trail.write_if_possible(Event.REFUSED, str(error))
        raise
    except BaseException as error:
        await trail.write_if_possible(Event.OUTCOME, f"ended by {type(error).__name__}")
        raise
    await trail.write_if_possible(Event.OUTCOME, document.conclusion)
    return document


def _arguments(raw: Mapping[str, Any]) -> str:
    shown = {name: "(masked)" if name in MASKED_ARGUMENTS else value for name, value in raw.items()}
    return json.dumps(shown, ensure_ascii=False, default=str)
