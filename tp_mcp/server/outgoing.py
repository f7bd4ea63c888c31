"""The server's exits to MCP clients: the only module that gives a text to the SDK.

Every exit takes a `SafeText`. Errors leave the SDK by themselves, so `SafeErrors` stands around every request.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar

from mcp import MCPError
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.types import INTERNAL_ERROR, CallToolResult, ElicitRequest, ElicitRequestFormParams, TextContent
from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    # Only named here: the first answers must not wait for the imports.
    from collections.abc import Callable

    from mcp.server.connection import Connection
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from mcp.server.elicitation import ElicitationResult
    from mcp.server.mcpserver import Context

    from tp_mcp.redaction import Redactor, SafeText

logger = logging.getLogger(__name__)

MIME_TYPE = "text/plain"
LOGGER = "tp-mcp"
INTERNAL_FAILURE = "The request failed for an internal reason; see the server's log."

EndLevel: TypeAlias = Literal["info", "warning"]
FormT = TypeVar("FormT", bound=BaseModel)


class SendProgress(Protocol):
    """Sends progress notifications of one call."""

    async def __call__(self, value: float, total: float | None, message: SafeText, /) -> None:
        """Send one; `total` is None where it is not known."""


def tool_result(text: SafeText, *, is_error: bool = False) -> CallToolResult:
    """Return text as a tool's result. There is no structured twin: some clients would read both."""
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=is_error)


def resource_contents(text: SafeText) -> ReadResourceContents:
    """Return text as the contents of a resource."""
    return ReadResourceContents(text, MIME_TYPE)


async def ask_user(context: Context[Any, Any], question: SafeText, form: type[FormT]) -> ElicitationResult[FormT]:
    """Ask the client's user in the middle of a call, and return what they filled in."""
    return await context.elicit(question, form)


def question_request(question: SafeText, form: type[BaseModel]) -> ElicitRequest:
    """Return the question that a client asks its user after a call has ended with it."""
    from mcp.server.elicitation import render_elicitation_schema  # noqa: PLC0415 -- after the first answer

    return ElicitRequest(
        params=ElicitRequestFormParams(message=question, requested_schema=render_elicitation_schema(form))
    )


def progress_of(context: Context[Any, Any]) -> SendProgress:
    """Return the function that sends progress notifications of a call."""
    return context.report_progress


async def send_log_message(connection: Connection, level: EndLevel, text: SafeText) -> None:
    """Send a log message to a session of the handshake era."""
    await connection.notify("notifications/message", {"level": level, "logger": LOGGER, "data": text})


class SafeErrors:
    """A middleware that makes the message of every error safe.

    The words of an unexpected error may hold anything: they go to the log, and the client gets `INTERNAL_FAILURE`.
    """

    def __init__(self, redactor: Callable[[], Redactor]) -> None:
        """Prepare; `redactor` returns the one that knows all secrets known at that moment."""
        self._redactor = redactor

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Answer a request, or raise a safe error."""
        try:
            return await call_next(ctx)
        except MCPError as error:
            raise MCPError(error.code, self._redactor().safe(error.message), error.data) from None
        except ValidationError:
            # The SDK answers it without its words.
            raise
        except Exception:
            logger.exception("%s failed unexpectedly", ctx.method)
            raise MCPError(INTERNAL_ERROR, INTERNAL_FAILURE) from None
