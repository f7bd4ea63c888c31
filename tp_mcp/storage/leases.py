"""Heartbeats and leases as rows. `LeaseStore` in `tp_mcp.watch.polling.lease_holder` documents the methods."""

from collections.abc import Collection

from tp_mcp.storage.table import Db, Table
from tp_mcp.watch.model.lease import Lease, claim

FORGOTTEN_AFTER_SECONDS = 3600.0
"""How old the last heartbeat of a process is when its row is dropped."""

_LEASES = (
    "SELECT target, epoch, owner, beat_at FROM targets LEFT JOIN processes ON processes.id = targets.owner "
    "WHERE server = ?"
)


class LeaseTable(Table):
    """Keeps which process polls which target."""

    async def beat(
        self, process: str, server: str, wanted: Collection[str], *, at: float, lifetime: float
    ) -> tuple[Lease, ...]:
        def write(db: Db) -> tuple[Lease, ...]:
            _write_heartbeat(db, process, at)
            before = _leases(db, server)
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
            return _leases(db, server)

        return await self._database.write(write)

    async def leases(self, server: str) -> tuple[Lease, ...]:
        return await self._database.run(lambda db: _leases(db, server))

    async def release(self, process: str) -> None:
        def write(db: Db) -> None:
            db.execute("DELETE FROM targets WHERE owner = ?", (process,))
            db.execute("DELETE FROM processes WHERE id = ?", (process,))

        await self._database.write(write)


def has_lease(db: Db, epoch: int) -> bool:
    """Return whether the lease of an epoch is still there."""
    return db.execute("SELECT 1 FROM targets WHERE epoch = ?", (epoch,)).fetchone() is not None


def _leases(db: Db, server: str) -> tuple[Lease, ...]:
    return tuple(Lease(*row) for row in db.execute(_LEASES, (server,)))


def _write_heartbeat(db: Db, process: str, at: float) -> None:
    db.execute(
        "INSERT INTO processes (id, beat_at) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET beat_at = excluded.beat_at",
        (process, at),
    )
    if db.execute("DELETE FROM processes WHERE beat_at < ?", (at - FORGOTTEN_AFTER_SECONDS,)).rowcount:
        db.execute("DELETE FROM targets WHERE owner NOT IN (SELECT id FROM processes)")
