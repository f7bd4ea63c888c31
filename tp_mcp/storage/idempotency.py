"""The same call made again, found by its key."""

import sqlite3

from tp_mcp.storage.watch_rows import row_to_watch
from tp_mcp.watch.model.idempotency import REPEAT_SECONDS
from tp_mcp.watch.model.watch import Owner, Watch, WatchState


def repeated_call(db: sqlite3.Connection, owner: Owner, *, server: str, call_key: str, now: float) -> Watch | None:
    """Return the newest watch that the same call made and that still answers it."""
    if not call_key:
        return None
    # A start that TP refused failed before it was accepted, without a doubt about its outcome. A clock that was set
    # back must not let an end count for longer, so it is the distance to the end that is compared.
    sql = (
        "SELECT * FROM watches WHERE call_key = ? AND call_key != '' AND principal = ? AND conversation = ? "
        "AND server = ? AND (ended_at IS NULL OR abs(ended_at - ?) < ?) AND state != ? "
        "AND NOT (state = ? AND started_at IS NULL AND outcome IS NULL) ORDER BY created_at DESC, id LIMIT 1"
    )
    values = (
        call_key,
        owner.principal,
        owner.conversation,
        server,
        now,
        REPEAT_SECONDS,
        WatchState.CANCELLED.value,
        WatchState.FAILED.value,
    )
    row = db.execute(sql, values).fetchone()
    return None if row is None else row_to_watch(row)
