"""Encrypted logins as rows of the store's file."""

import sqlite3

from tp_mcp.access.credentials import StoredCredential
from tp_mcp.watch.sqlite.connection import Connection


class SqliteCredentials:
    """The credential port over the store's connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def put(self, credential: StoredCredential) -> None:
        """Write one, instead of what the principal had."""
        row = (
            credential.server,
            credential.principal,
            credential.username,
            credential.kind,
            credential.sealed,
            credential.created_at,
        )

        def write(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT OR REPLACE INTO credentials (server, principal, username, kind, sealed, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                row,
            )

        await self._connection.write(write)

    async def get(self, server: str, principal: str) -> StoredCredential | None:
        """Return a principal's."""

        def read(db: sqlite3.Connection) -> StoredCredential | None:
            row = db.execute(
                "SELECT * FROM credentials WHERE server = ? AND principal = ?", (server, principal)
            ).fetchone()
            return None if row is None else StoredCredential(**dict(row))

        return await self._connection.run(read)

    async def remove(self, server: str, principal: str) -> bool:
        """Drop a principal's; False where there is none."""

        def write(db: sqlite3.Connection) -> bool:
            gone = db.execute("DELETE FROM credentials WHERE server = ? AND principal = ?", (server, principal))
            return gone.rowcount == 1

        return await self._connection.write(write)

    async def all(self, server: str) -> tuple[StoredCredential, ...]:
        """Return those for one TP, by principal."""

        def read(db: sqlite3.Connection) -> tuple[StoredCredential, ...]:
            rows = db.execute("SELECT * FROM credentials WHERE server = ? ORDER BY principal", (server,)).fetchall()
            return tuple(StoredCredential(**dict(row)) for row in rows)

        return await self._connection.run(read)
