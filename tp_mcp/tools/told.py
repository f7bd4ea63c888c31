"""What a list of watches says of how their ends were told."""

from collections.abc import Mapping, Sequence

from tp_mcp.errors import StoreError
from tp_mcp.results.text import count_of
from tp_mcp.tools.toolkit import Call
from tp_mcp.watch.deliveries import Delivery
from tp_mcp.watch.states import InboxEntry, Watch


async def how_told(watches: Sequence[Watch], call: Call, *, name_conversations: bool) -> Mapping[str, str]:
    """Return for each watch what to append to its line, such as ", not seen yet, shown once".

    Args:
        watches: the watches.
        call: the call that lists them.
        name_conversations: also say to which conversation each belongs.

    """
    ids = [watch.id for watch in watches if watch.state.ended]
    try:
        ends = await call.services.conversations.ends(ids)
        deliveries = await call.services.deliveries.of(ids)
    except StoreError:
        # The list is worth more than what is said on top of it.
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
    return f"told by {delivery.channel}{tries} ({delivery.outcome})"
