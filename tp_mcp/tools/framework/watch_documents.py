"""Documents and lines about watches, shared by all tools."""

import json
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from tp_mcp.errors import StoreError
from tp_mcp.jobs.kinds import kind_of
from tp_mcp.results.document import Document, ItemList, Paragraph, Section
from tp_mcp.results.text import count_of
from tp_mcp.tools.framework.definition import Call
from tp_mcp.watch.delivery import messages
from tp_mcp.watch.delivery.delivery_log import Delivery
from tp_mcp.watch.model.usual_duration import usual_words
from tp_mcp.watch.model.watch import InboxEntry, Watch, WatchState

BACKGROUND = (
    "It is watched in the background, and its end is reported in this conversation on the next result of any tool. "
    "Do not start it again."
)
WHILE_OPEN = "Over stdio nothing is polled while no client has this server open; the next start catches up."


def call_words(tool: str, /, **arguments: JsonValue) -> str:
    """Return a call as a model can copy it: `wait_for_watch(watch_id="w_7k3m9q2d")`, values as JSON."""
    given = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in arguments.items())
    return f"{tool}({given})"


def wait_call(watch: Watch) -> str:
    """Return the call that waits for a watch."""
    return call_words("wait_for_watch", watch_id=watch.id)


def look_call(watch: Watch) -> str:
    """Return the call that shows a watch's job; empty for a job that no tool shows."""
    kind = kind_of(watch)
    return "" if kind is None else kind.look_call(watch)


def start_line(watch: Watch) -> str:
    """Return a sentence, beginning with the id, that the job was started or that this is not known yet."""
    if watch.state is WatchState.STARTING:
        return f"[{watch.id}] It is not known yet whether the {watch.title} started."
    return f"{messages.headline(watch)}."


def started(watch: Watch, *, notes: tuple[str, ...] = (), advice: str = "") -> Document:
    """Return the document for a started job, or for one that may not have started."""
    if watch.state is WatchState.STARTING:
        return Document(
            conclusion=start_line(watch),
            sections=(
                Paragraph(messages.reason_text(watch)),
                *chain_sections(watch),
                Paragraph(
                    "The request was sent once and is not repeated. The server now reads TP to find out whether the "
                    "job started, and reports the result in this conversation."
                ),
            ),
            next_step=f"Do not start it again. {wait_call(watch)} shows the result.",
        )
    usual = () if watch.usual is None else (usual_words(watch.usual),)
    return Document(
        conclusion=start_line(watch),
        sections=(
            *chain_sections(watch),
            *(Paragraph(text) for text in (*notes, *usual, f"{BACKGROUND} {WHILE_OPEN}")),
        ),
        next_step=f"{wait_call(watch)} waits for it. {advice}".rstrip(),
    )


def chain_sections(watch: Watch) -> tuple[Section, ...]:
    """Return the chain that begins with a watch; empty if no step follows it."""
    if watch.chain is None:
        return ()
    lines = messages.chain_lines(watch.chain, f"[{watch.id}] {watch.title}")
    return (ItemList("The whole chain; each step starts by itself, and its end is reported", lines),)


def interim(watch: Watch, now: float, *, lead: str = "") -> Document:
    """Return the status of an active watch; `lead` is appended to the conclusion."""
    lines = [*messages.interim_lines(watch, now), *messages.place_lines(watch.chain)]
    kind = kind_of(watch)
    if watch.usual is None and kind is not None and kind.usual:
        lines.append(kind.usual)
    return Document(
        conclusion=f"{messages.headline(watch)}.{lead}",
        sections=(Paragraph("\n".join(lines)),),
        next_step=f"{BACKGROUND} {wait_call(watch)} goes on waiting.",
    )


def elsewhere(watch: Watch) -> Document:
    """Return the document for a watch on another TP than the one of this server."""
    return Document(
        conclusion=f"{messages.headline(watch)}, as far as this server knows.",
        sections=(Paragraph(f"It belongs to the TP at {watch.server}, which this server does not poll."),),
        next_step="A server that is configured for that TP continues it.",
    )


def elsewhere_line(watch: Watch) -> str:
    """Return the content of `elsewhere` in one line, for a list."""
    return f"{messages.headline(watch)} (on the TP at {watch.server}, which this server does not poll)"


def ended(watch: Watch) -> Document:
    """Return the document for an ended watch."""
    return Document(conclusion=messages.end_message(watch), next_step=next_step(watch))


def next_step(watch: Watch) -> str:
    """Return the next step after the end of a watch."""
    if watch.chain is not None and watch.chain.next is not None:
        following = call_words("wait_for_watch", watch_id=watch.chain.next.id)
        return f"{following} waits for the next step, which starts by itself: do not start it."
    if messages.never_started(watch):
        return ""
    kind = kind_of(watch)
    if kind is None:
        return ""
    if messages.is_doubtful(watch) and (look := kind.look_call(watch)):
        return f"{look} shows its status on TP."
    return kind.next_step(watch)


async def delivery_notes(watches: Sequence[Watch], call: Call, *, name_conversations: bool) -> Mapping[str, str]:
    """Return delivery notes by watch id, such as "; its end was not seen yet, shown 1 time".

    Args:
        watches: the watches.
        call: the call that lists them.
        name_conversations: also say to which conversation each belongs.
    """
    ids = [watch.id for watch in watches if watch.state.ended]
    try:
        ends = {entry.watch_id: entry for entry in await call.services.watches.store.entries(ids)}
        deliveries = await call.services.watches.deliveries.of(ids)
    except StoreError:
        # The list is useful without the notes.
        return {}
    return {
        watch.id: "".join(
            f"; {part}"
            for part in (
                f"conversation {watch.owner.handle}" if name_conversations else "",
                _seen(ends.get(watch.id)),
                *map(_delivered, deliveries.get(watch.id, ())),
            )
            if part
        )
        for watch in watches
    }


def _seen(end: InboxEntry | None) -> str:
    if end is None:
        return ""
    if end.seen_at is not None:
        return "its end was seen"
    return f"its end was not seen yet, shown {count_of(end.showings, 'time')}"


def _delivered(delivery: Delivery) -> str:
    tries = f", {delivery.times} times" if delivery.times > 1 else ""
    return f"sent by {delivery.channel}{tries} ({delivery.outcome})"
