"""How long jobs took, by group, apart from the watches that told it: those are dropped after a while."""

import sqlite3
from collections.abc import Sequence

from tp_mcp.watch.model.usual_duration import Usual, usual_of
from tp_mcp.watch.model.watch import Watch

MAX_DURATIONS_OF_GROUP = 50
"""The newest of a group: testbeds and tests change, and so does what is usual."""

MAX_DURATIONS = 20_000
"""The newest of all groups together."""


def record_duration(db: sqlite3.Connection, watch: Watch) -> None:
    """Keep how long the job of a watch took that has just ended, where that is known; drop what is over the limits."""
    took = watch.reading.took_seconds if watch.reading is not None else None
    if took is None:
        return
    for group in watch.spec.history:
        newest = db.execute(
            "INSERT INTO durations (server, job_group, seconds) VALUES (?, ?, ?)", (watch.server, group, took)
        ).lastrowid
        db.execute(
            "DELETE FROM durations WHERE server = ? AND job_group = ? AND id NOT IN (SELECT id FROM durations "
            "WHERE server = ? AND job_group = ? ORDER BY id DESC LIMIT ?)",
            (watch.server, group, watch.server, group, MAX_DURATIONS_OF_GROUP),
        )
        db.execute("DELETE FROM durations WHERE id <= ? - ?", (newest, MAX_DURATIONS))


def usual_duration(db: sqlite3.Connection, server: str, groups: Sequence[str]) -> Usual | None:
    """Return what is usual in the first group that has enough durations on this TP."""
    for group in groups:
        rows = db.execute("SELECT seconds FROM durations WHERE server = ? AND job_group = ?", (server, group))
        usual = usual_of([row["seconds"] for row in rows])
        if usual is not None:
            return usual
    return None
