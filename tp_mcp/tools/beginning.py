"""Waiting for a later step of a chain, which has an id before it begins."""

from tp_mcp.errors import WatchNotFoundError
from tp_mcp.tools.chaining import chains_with
from tp_mcp.tools.toolkit import Call
from tp_mcp.watch.states import Watch

BEGINS_SECONDS = 0.5
"""How often it is looked whether a step that is due has begun: it takes a moment, or minutes while TP is away."""


async def waited_to_begin(watch_id: str, call: Call, seconds: float) -> float:
    """Wait until a step has begun, or never will; return how much of the time is left."""
    registry, clock = call.services.registry, call.services.clock
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
    """Return the watch that a step waits for, itself or through a step between; None where it waits for none."""
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
        await call.services.registry.get(watch_id, call.owner)
    except WatchNotFoundError:
        return False
    return True
