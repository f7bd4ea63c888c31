"""The same call made again: answered with the watch that there is, instead of doing it a second time."""

from collections.abc import Mapping

from anyio import to_thread
from pydantic import JsonValue

from tp_mcp.results.document import Document, Paragraph
from tp_mcp.results.text import format_duration
from tp_mcp.tools.framework import watch_documents
from tp_mcp.tools.framework.definition import Call
from tp_mcp.tools.framework.wait import waited_for
from tp_mcp.watch.delivery import messages
from tp_mcp.watch.model.idempotency import REPEAT_SECONDS, call_key
from tp_mcp.watch.model.until import Awaited
from tp_mcp.watch.model.watch import Watch

STARTED = "This was started already, and nothing was sent again"
WATCHED = "This is watched already, and no second watch was made"


async def key_of(call: Call, tool: str, arguments: Mapping[str, JsonValue], *, secret: str = "") -> str:
    """Return the key of a call, as `call_key` does; the slow work that a secret needs is done on a thread.

    A later step of a chain has an empty one: it was asked for together with what it may look the same as.
    """
    if call.follows is not None:
        return ""
    if not secret:
        return call_key(tool, arguments)
    return await to_thread.run_sync(lambda: call_key(tool, arguments, secret=secret))


async def made_before(call: Call, key: str, *, said: str = STARTED, seconds: float = 0.0) -> Document | None:
    """Tell of the watch that the same call made already; None where there is none, and it may be made."""
    watch = await call.services.registry.repeated(call.owner, key) if key else None
    return None if watch is None else await told(watch, call, said=said, seconds=seconds)


async def told(watch: Watch, call: Call, *, said: str = STARTED, seconds: float = 0.0) -> Document:
    """Tell that the same call made a watch already, how it stands, and what to do if it is meant to be done again.

    As the call would have waited for what it starts, it waits `seconds` for what was started already.
    """
    call.awaits.append(Awaited((watch,)))
    watch = await waited_for(watch, call, seconds)
    now = call.services.clock.now()
    conclusion = f"[{watch.id}] {said}: {messages.how_it_stands(watch)}"
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
    # The first line of the message says how it stands, as the conclusion does.
    _, *more = messages.end_message(watch).splitlines()
    return Document(
        f"{conclusion}, after {format_duration(watch.elapsed(now))}, {format_duration(ago)} ago.",
        (Paragraph("\n".join(more)),),
        f"If it really is to be done once more, call again in {left}, or with a changed argument. "
        f"{watch_documents.next_step(watch)}".rstrip(),
    )
