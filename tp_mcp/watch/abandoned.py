"""Watches of a TP that is no more."""

from collections.abc import Callable

from tp_mcp.watch.lifecycle import state_machine
from tp_mcp.watch.ports import Store


async def end_abandoned(store: Store, is_gone: Callable[[str], bool], *, reason: str, now: float) -> int:
    """End every watch whose TP is gone for good; its conversation is told. Return how many.

    Args:
        store: where watches are kept.
        is_gone: whether the TP of a base URL is gone.
        reason: why, in a sentence.
        now: the time.

    Raises:
        StoreError: the store cannot be used.

    """
    ended = 0
    for watch in await store.unended(None):
        if is_gone(watch.server):
            step = state_machine.lose(watch, reason=reason, now=now)
            # Where another process was quicker there is nothing left to write.
            ended += await store.save(step.watch, step.entry) is not None
    return ended
