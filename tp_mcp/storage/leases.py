"""Heartbeats and leases as rows; each function runs in a transaction of the store."""

import sqlite3
from collections.abc import Collection

from tp_mcp.watch.model.lease import Lease, claim

FORGOTTEN_AFTER_SECONDS = 3600.0
"""How old the heartbeat of a process that died is when its row goes."""


def beat(
    db: sqlite3.Connection, process: str, server: str, wanted: Collection[str], *, at: float, lifetime: float
) -> tuple[Lease, ...]:
    """Write a heartbeat, take and drop leases; return every lease of that TP's targets afterwards."""
    db.execute(
        "INSERT INTO processes (id, beat_at) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET beat_at = excluded.beat_at",
        (process, at),
    )
    if db.execute("DELETE FROM processes WHERE beat_at < ?", (at - FORGOTTEN_AFTER_SECONDS,)).rowcount:
        db.execute("DELETE FROM targets WHERE owner NOT IN (SELECT id FROM processes)")
    before = all_of(db, server)
    change = claim(before, wanted, process=process, at=at, lifetime=lifetime)
    if not change.take and not change.drop:
        return before
    db.executemany(
        "DELETE FROM targets WHERE server = ? AND target = ?",
        [(server, target) for target in (*change.take, *change.drop)],
    )
    db.executemany(
        "INSERT INTO targets (server, target, owner) VALUES (?, ?, ?)",
        [(server, target, process) for target in change.take],
    )
    return all_of(db, server)


def all_of(db: sqlite3.Connection, server: str) -> tuple[Lease, ...]:
    """Return every lease of one TP's targets."""
    sql = (
        "SELECT target, epoch, owner, beat_at FROM targets LEFT JOIN processes ON processes.id = targets.owner "
        "WHERE server = ?"
    )
    return tuple(Lease(*row) for row in db.execute(sql, (server,)))


def release(db: sqlite3.Connection, process: str) -> None:
    """Drop a process's heartbeat and all its leases."""
    db.execute("DELETE FROM targets WHERE owner = ?", (process,))
    db.execute("DELETE FROM processes WHERE id = ?", (process,))


def stands(db: sqlite3.Connection, epoch: int) -> bool:
    """Return whether the lease of an epoch is still there."""
    return db.execute("SELECT 1 FROM targets WHERE epoch = ?", (epoch,)).fetchone() is not None
