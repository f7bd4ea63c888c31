"""The order in which ends were written, for who wants to hear of the next ones."""

import sqlite3

MAX_ENDS_AT_ONCE = 1_000
"""Most ends that one look returns; the next look goes on after them."""


def ends_after(db: sqlite3.Connection, cursor: int | None) -> tuple[int, tuple[str, ...]]:
    """Return the ids of watches whose ends were written after a cursor, and the cursor to go on from.

    Without a cursor there are no ids. Row ids count up, but begin again below the newest where that one was dropped.
    """
    newest: int = db.execute("SELECT coalesce(max(rowid), 0) FROM inbox").fetchone()[0]
    if cursor is None or cursor >= newest:
        return newest, ()
    sql = "SELECT rowid, watch_id FROM inbox WHERE rowid > ? ORDER BY rowid LIMIT ?"
    rows = db.execute(sql, (cursor, MAX_ENDS_AT_ONCE)).fetchall()
    return rows[-1]["rowid"], tuple(row["watch_id"] for row in rows)
