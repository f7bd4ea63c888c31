"""What must not be taken for the job of a start that was never answered."""

from tp_mcp.watch.ports import Store
from tp_mcp.watch.states import Watch, WatchState


async def taken_by_others(store: Store, watch: Watch) -> frozenset[str]:
    """Return the jobs that cannot be a watch's own, because TP accepted them for others; of an open start only.

    Raises:
        StoreError: the store cannot tell.

    """
    if watch.state is not WatchState.STARTING:
        return frozenset()
    return await store.jobs_started(watch.server, since=watch.created_at, but_for=watch.id)
