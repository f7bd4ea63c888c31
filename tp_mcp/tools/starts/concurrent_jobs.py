"""What else of the user's goes on at a lab that something is about to be started on."""

from tp_mcp.tools.framework.definition import Call
from tp_mcp.watch.model.watch import WatchState

MAX_TOLD = 3


async def going_on_at(lab: str, call: Call) -> tuple[str, ...]:
    """Return a sentence for each of the user's watches that goes on at a lab, of at most `MAX_TOLD`."""
    watches = await call.services.registry.list(
        call.owner, all_conversations=True, states=(WatchState.STARTING, WatchState.ACTIVE), about=lab
    )
    here = [watch for watch in watches if call.services.registry.looks_at(watch) and watch.testbed == lab]
    return tuple(f"Mind that {watch.id} goes on there too: {watch.title}." for watch in here[:MAX_TOLD])
