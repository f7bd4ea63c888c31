"""Waiting for watches within one call: the limit, the wait, and the document at its end."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, JsonValue

from tp_mcp.errors import InvalidArgumentError, WatchNotFoundError
from tp_mcp.results.document import Document, ItemList, Paragraph, Section
from tp_mcp.results.text import count_of, format_duration
from tp_mcp.tools.framework import watch_documents
from tp_mcp.tools.framework.definition import Call
from tp_mcp.tools.starts.chain_arguments import chains_with
from tp_mcp.watch.delivery import messages
from tp_mcp.watch.delivery.waiting import Awaited, Until, fingerprint_of, met
from tp_mcp.watch.model.watch import Watch

MAX_ENDS_IN_FULL = 5
"""Number of ends that one result shows in full; the others stay in the inbox."""

WaitOfStart = Annotated[
    float,
    Field(
        description="Seconds to wait for the job to finish (default 0: return immediately).", ge=0, allow_inf_nan=False
    ),
]

_NOT_YET = {
    Until.TERMINAL: "Not finished",
    Until.FIRST_FAILURE: "No failure yet, and not finished",
    Until.CHANGE: "No change",
}
_MET = {
    Until.TERMINAL: "",
    Until.FIRST_FAILURE: " A part has failed; the rest goes on.",
    Until.CHANGE: " It has changed.",
}


def check_wait(seconds: float, call: Call) -> None:
    """Check the waiting time of a call.

    Raises:
        InvalidArgumentError: the time exceeds the configured limit.
    """
    most = call.services.watches.max_wait_seconds
    if seconds > most:
        raise InvalidArgumentError(
            f"max_wait_seconds is {seconds:g}, but must be at most {most:g}.",
            remedy="Reaching the limit is normal: the job goes on, and wait_for_watch can wait again.",
        )


async def waited_for(watch: Watch, call: Call, seconds: float) -> Watch:
    """Wait for a watch that this call made or found, and return it when it has ended or the time is over."""
    if not seconds or call.detached or watch.state.ended:
        return watch
    waited = await call.services.watches.registry.wait(watch.id, call.owner, seconds=seconds, report=call.report)
    [briefed] = await call.services.results.recorder.briefed([waited])
    return briefed


async def started(
    watch: Watch, call: Call, seconds: float, *, notes: tuple[str, ...] = (), advice: str = ""
) -> Document:
    """Return the document for a started job; if the call waits, with the status after the wait."""
    call.awaits.append(Awaited((watch,)))
    if not seconds or call.detached or call.follows is not None:
        # Nobody waits for a step that follows another.
        return watch_documents.started(watch, notes=notes, advice=advice)
    latest = await waited_for(watch, call, seconds)
    call.services.watches.inbox.made(call.owner, watch.id, named=True)
    document = wait_document([fingerprint_of(watch)], [latest], call, seconds=seconds, until=Until.TERMINAL)
    # The notes are about a running job.
    more = () if latest.state.ended else (*watch_documents.chain_sections(latest), *(Paragraph(note) for note in notes))
    return Document(document.conclusion, (*document.sections, *more), document.next_step)


def wait_document(
    before: Sequence[str], watches: Sequence[Watch], call: Call, *, seconds: float, until: Until
) -> Document:
    """Return the status of watches after a wait.

    Args:
        before: each watch's `fingerprint_of` from before the wait.
        watches: the watches after the wait.
        call: the call that waited.
        seconds: length of the wait; 0 if it did not wait.
        until: the end of the wait.
    """
    if len(watches) > 1:
        return _several(before, watches, call, seconds=seconds, until=until)
    [began], [watch] = before, watches
    if watch.state.ended:
        call.visit.reported.add(watch.id)
        return watch_documents.ended(watch)
    now = call.services.clock.now()
    return watch_documents.interim(watch, now, lead=_lead(seconds, until, is_met=met(until, began, watch)))


def _several(before: Sequence[str], watches: Sequence[Watch], call: Call, *, seconds: float, until: Until) -> Document:
    now = call.services.clock.now()
    ended = [watch for watch in watches if watch.state.ended]
    in_full = ended[:MAX_ENDS_IN_FULL]
    call.visit.reported.update(watch.id for watch in in_full)
    others = [
        (watch, met(until, began, watch)) for began, watch in zip(before, watches, strict=True) if watch not in in_full
    ]
    going_on = [watch for watch, _ in others if not watch.state.ended]
    lead = _lead(seconds, until, is_met=any(is_met for _, is_met in others)) if not ended else ""
    lines = tuple(_line(watch, now, call, mark=is_met and not watch.state.ended) for watch, is_met in others)
    heading = "The others" if in_full else "Status"
    sections: list[Section] = [Paragraph(_end(watch)) for watch in in_full]
    if lines:
        sections.append(ItemList(heading, lines, rest="list_watches lists them"))
    ids: list[JsonValue] = [watch.id for watch in going_on]
    on = f"{watch_documents.call_words('wait_for_watch', watch_id=ids)} waits for the next of them." if ids else ""
    conclusion = f"{len(ended)} of {count_of(len(watches), 'watch', 'watches')} ended; {len(going_on)} going on.{lead}"
    return Document(conclusion, tuple(sections), on)


def _end(watch: Watch) -> str:
    return "\n".join(line for line in (messages.end_message(watch), watch_documents.next_step(watch)) if line)


def _line(watch: Watch, now: float, call: Call, *, mark: bool) -> str:
    if watch.state.ended:
        return f"{messages.headline(watch)}: {watch_documents.wait_call(watch)}"
    if not call.services.watches.registry.looks_at(watch):
        return watch_documents.elsewhere_line(watch)
    marked = ", as asked for" if mark else ""
    return f"{messages.headline(watch)} ({messages.progress_line(watch, now)}){marked}"


def _lead(seconds: float, until: Until, *, is_met: bool) -> str:
    if is_met:
        return _MET[until]
    return f" {_NOT_YET[until]} after waiting {format_duration(seconds)}." if seconds else ""


BEGINS_SECONDS = 0.5
"""Interval of the checks whether a due step has begun: a moment later, or minutes later while TP is down."""


async def waited_to_begin(watch_id: str, call: Call, seconds: float) -> float:
    """Wait until a step has begun or is certain not to begin; return the remaining seconds."""
    registry, clock = call.services.watches.registry, call.services.clock
    end = clock.now() + seconds
    while (left := end - clock.now()) > 0:
        before = await _before(watch_id, call)
        if before is None:
            break
        if not before.state.ended:
            await registry.wait(before.id, call.owner, seconds=left, report=call.report)
        else:
            await clock.sleep(min(left, BEGINS_SECONDS))
    return max(end - clock.now(), 0.0)


async def _before(watch_id: str, call: Call) -> Watch | None:
    """Return the watch that has to end before a step can begin; None if there is none."""
    if await _there(watch_id, call):
        return None
    found = await chains_with(watch_id, call)
    if not found:
        return None
    latest, chain = max(found, key=lambda each: each[0].created_at)
    if not latest.state.ended:
        return latest
    return None if chain.next is None or await _there(chain.next.id, call) else latest


async def _there(watch_id: str, call: Call) -> bool:
    try:
        await call.services.watches.registry.get(watch_id, call.owner)
    except WatchNotFoundError:
        return False
    return True
