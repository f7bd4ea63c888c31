"""The outcome of a start as a tool's result."""

from typing import assert_never

from tp_mcp.results.document import Document, Paragraph
from tp_mcp.results.text import format_duration
from tp_mcp.tools.framework import watch_documents
from tp_mcp.tools.framework.definition import Call
from tp_mcp.tools.framework.wait import started, waited_for
from tp_mcp.tools.starts.confirmation import NeedsConfirmation, Planned, plan_document
from tp_mcp.tools.starts.start_job import AlreadyStarted, Refused, Started, StartOutcome
from tp_mcp.watch.delivery import messages
from tp_mcp.watch.delivery.waiting import Awaited
from tp_mcp.watch.model.idempotency import REPEAT_SECONDS


async def start_document(outcome: StartOutcome, call: Call, *, max_wait_seconds: float = 0.0) -> Document:
    """Return the result of a start; where the caller waits for the end, after the wait.

    Args:
        outcome: the outcome of the start.
        call: the call that asked for it.
        max_wait_seconds: how long the call waits for the end of the job at most.

    Raises:
        TpMcpError: the start was refused.
    """
    match outcome:
        case Started():
            return await started(outcome.watch, call, max_wait_seconds, notes=outcome.notes, advice=outcome.advice)
        case AlreadyStarted():
            return await _already_started(outcome, call, max_wait_seconds)
        case NeedsConfirmation() | Planned():
            return plan_document(outcome)
        case Refused():
            raise outcome.error
        case _:
            assert_never(outcome)


def already_started_line(outcome: AlreadyStarted) -> str:
    """Return that nothing was done a second time, and the state of the first job. A sentence without a full stop."""
    done = (
        "This is watched already, and no second watch was made"
        if outcome.only_watched
        else "This was started already, and nothing was sent again"
    )
    return f"[{outcome.watch.id}] {done}: {messages.state_sentence(outcome.watch)}"


async def _already_started(outcome: AlreadyStarted, call: Call, max_wait_seconds: float) -> Document:
    call.awaits.append(Awaited((outcome.watch,)))
    watch = await waited_for(outcome.watch, call, max_wait_seconds)
    now = call.services.clock.now()
    conclusion = already_started_line(AlreadyStarted(watch, outcome.only_watched))
    if not watch.state.ended:
        return Document(
            f"{conclusion}.",
            (Paragraph("\n".join(messages.interim_lines(watch, now))),),
            f"{watch_documents.wait_call(watch)} waits for its end. If it really is to be done once more, call again "
            f"when it has ended and {format_duration(REPEAT_SECONDS)} have passed, or with a changed argument.",
        )
    # It is shown, and not named: on a shared key the end may be waited for in another chat.
    call.visit.reported.add(watch.id)
    ago = now - watch.since - watch.elapsed(now)
    left = format_duration(max(REPEAT_SECONDS - ago, 1.0))
    # The first line of the message is the conclusion's.
    _, *more = messages.end_message(watch).splitlines()
    return Document(
        f"{conclusion}, after {format_duration(watch.elapsed(now))}, {format_duration(ago)} ago.",
        (Paragraph("\n".join(more)),),
        f"If it really is to be done once more, call again in {left}, or with a changed argument. "
        f"{watch_documents.next_step(watch)}".rstrip(),
    )
