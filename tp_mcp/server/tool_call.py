"""One call of a tool, from its arguments to the text a client gets."""

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
from mcp.server.context import ServerRequestContext
from mcp.types import CallToolResult, InputRequiredResult
from pydantic import SecretStr

from tp_mcp.clock import Clock
from tp_mcp.errors import InvalidArgumentError, StoreError, TpMcpError
from tp_mcp.redaction import NOTHING, Redactor, SafeText
from tp_mcp.results.document import Document
from tp_mcp.results.limits import INBOX_MAX_ENTRIES, TYPICAL_CHARACTERS
from tp_mcp.results.text import nearest, shorten
from tp_mcp.server.backend import Backend, closing_error
from tp_mcp.server.elicitation import question_result
from tp_mcp.server.outgoing import SendProgress, tool_result
from tp_mcp.server.rendering import error_text, inbox_text, kept_text
from tp_mcp.server.toolset import ALL_TOOLS
from tp_mcp.tools.framework.definition import Call, ToolDefinition
from tp_mcp.tools.framework.questions import Asker, QuestionForUser
from tp_mcp.tools.framework.services import Services
from tp_mcp.tools.framework.tp_identities import TP_TOKEN_HEADER
from tp_mcp.watch.delivery import messages
from tp_mcp.watch.delivery.inbox import Visit
from tp_mcp.watch.model.watch import Owner, Watch

logger = logging.getLogger(__name__)

CREEP = 0.05
"""Fraction of the way to the next whole number by which the value rises if nothing happened."""

MESSAGE_MAX_CHARACTERS = 600
SEND_SECONDS = 2.0
"""Longest time that a client that reads nothing may delay a wait; it gets the next notification."""

BeginTask = Callable[[Call], Awaitable[bool]]
"""Called after a call did its work; returns whether a task was created for its wait."""


def passed_token(ctx: ServerRequestContext[Any, Any]) -> SecretStr | None:
    """Return the TP token sent with the request; None if there is none, as over standard input and output."""
    text = None if ctx.request is None else ctx.request.headers.get(TP_TOKEN_HEADER)
    return SecretStr(text) if text else None


async def call_tool(
    definitions: Mapping[str, ToolDefinition[Any]],
    name: str,
    arguments: dict[str, Any],
    *,
    backend: Backend,
    owner: Owner,
    clock: Clock,
    send_progress: SendProgress,
    passed: SecretStr | None = None,
    asker_with: Callable[[Redactor], Asker | None] = lambda _: None,
    begin_task: BeginTask | None = None,
) -> CallToolResult | InputRequiredResult:
    """Call a tool by name.

    Whatever goes wrong comes back as a result marked as an error, in plain words: the model can read it there. `passed`
    is the TP token that came with the request.
    """
    definition = definitions.get(name)
    unknown = _unknown(name, definitions) if definition is None else None
    try:
        services = await (await backend.services()).for_principal(owner.principal, passed)
    except TpMcpError as error:
        return tool_result(error_text(unknown or error, backend.redactor), is_error=True)
    redactor = services.tp.redactor
    visit = await _begin(services, owner)
    reporter = ProgressReporter(send_progress, clock, redactor)
    call = Call(
        owner=owner,
        visit=visit,
        services=services,
        report=reporter.report,
        asker=asker_with(redactor),
        detached=begin_task is not None,
    )
    outcome: Document | TpMcpError = unknown or closing_error()
    try:
        if definition is not None:
            with backend.call(only_reads=definition.read_only):
                outcome = await _outcome(definition, arguments, call)
    except QuestionForUser as question:
        return question_result(question)
    if begin_task is not None and isinstance(outcome, Document) and await begin_task(call):
        # Nobody reads it: the task is the answer.
        return tool_result(NOTHING)
    inbox, shown = (NOTHING, ()) if backend.closing else await _inbox(services, visit)

    async def keep(whole: str) -> str:
        return await services.results.stored.keep(owner.principal, whole, what=f"a result of {name}")

    room = TYPICAL_CHARACTERS if definition is None else definition.typical_characters
    text = await kept_text(outcome, inbox, redactor, max_characters=room, keep=keep)
    services.watches.inbox.handed_over(visit, shown)
    return tool_result(text, is_error=isinstance(outcome, TpMcpError))


async def _outcome(definition: ToolDefinition[Any], arguments: dict[str, Any], call: Call) -> Document | TpMcpError:
    try:
        return await definition.call(arguments, call)
    except QuestionForUser:
        raise
    except TpMcpError as error:
        logger.info("%s: %s", definition.name, error)
        return error
    except Exception:
        # The words of an unexpected error may hold anything; they stay in the log.
        logger.exception("%s failed unexpectedly", definition.name)
        return TpMcpError(
            f"{definition.name} failed for an internal reason; what happened is in the server's log.",
            remedy="list_watches shows whether anything was started.",
        )


async def _begin(services: Services, owner: Owner) -> Visit:
    try:
        await services.watches.catching_up.wait_for(owner)
        return await services.watches.inbox.begin(owner)
    except StoreError as error:
        logger.warning("The inbox could not be read: %s", error)
        return Visit(owner)


async def _inbox(services: Services, visit: Visit) -> tuple[SafeText, tuple[str, ...]]:
    # The inbox rides on the result, and must not break it.
    try:
        first = await services.watches.inbox.first_to_show(visit, INBOX_MAX_ENTRIES)
        return inbox_text(first.entries, services.tp.redactor, total=first.total)
    except StoreError as error:
        logger.warning("The inbox could not be read: %s", error)
        return NOTHING, ()


def _unknown(name: str, definitions: Mapping[str, ToolDefinition[Any]]) -> InvalidArgumentError:
    if name in {definition.name for definition in ALL_TOOLS}:
        return InvalidArgumentError(
            f"This server does not offer {name}.",
            remedy="Its operator decides: it may be read-only, have the tool disabled, or not name its toolset. "
            f"There are: {', '.join(definitions)}.",
        )
    near = nearest(name, definitions)
    remedy = f"Did you mean {' or '.join(near)}? " if near else ""
    return InvalidArgumentError(f"There is no tool {name!r}.", remedy=f"{remedy}There are: {', '.join(definitions)}.")


class ProgressReporter:
    """Sends a client the progress of watches, with a value that strictly rises as the protocol requires.

    For a run the value is how many tests have finished, and the total how many are planned, once that is known; for
    anything else, and for several watches, the value is the seconds waited, and there is no total. The value stays
    below a total: until the job has ended, it is not complete.
    """

    def __init__(self, send: SendProgress, clock: Clock, redactor: Redactor) -> None:
        self._send = send
        self._clock = clock
        self._redactor = redactor
        self._since = clock.now()
        self._last = -1.0

    async def report(self, *watches: Watch) -> None:
        """Send one notification on the progress of watches. A client that does not read it delays nobody for long."""
        now = self._clock.now()
        value, total = self._measured(watches[0], now) if len(watches) == 1 else (now - self._since, None)
        if total is not None and value >= total:
            value = total - 0.5
        if value <= self._last:
            value = self._last + (math.floor(self._last) + 1 - self._last) * CREEP
        self._last = value
        message = "; ".join(self._message(watch, now, MESSAGE_MAX_CHARACTERS // len(watches)) for watch in watches)
        with anyio.move_on_after(SEND_SECONDS):
            await self._send(value, total if total is None or total > value else None, self._redactor.safe(message))

    def _message(self, watch: Watch, now: float, max_characters: int) -> SafeText:
        # Titles hold names of TP's, of any length.
        title = shorten(self._redactor.safe_line(watch.title), messages.TITLE_MAX_CHARACTERS)
        return shorten(self._redactor.safe_line(f"{title}: {messages.progress_line(watch, now)}"), max_characters)

    def _measured(self, watch: Watch, now: float) -> tuple[float, float | None]:
        if watch.reading is None:
            return 0.0, None
        counts = watch.reading.counts
        if counts is None:
            return now - self._since, None
        return float(counts.finished), float(counts.total) if counts.total else None
