"""Access tokens as rows of the store's file."""

import sqlite3

from tp_mcp.access.tokens import AccessToken
from tp_mcp.watch.sqlite.connection import Connection


class SqliteTokens:
    """The token port over the store's connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, token: AccessToken) -> bool:
        """Write a new one; False where one that is not revoked has its name."""
        row = (token.token_hash, token.name, token.principal, token.created_at, token.expires_at)

        def write(db: sqlite3.Connection) -> bool:
            if db.execute("SELECT 1 FROM tokens WHERE name = ? AND revoked_at IS NULL", (token.name,)).fetchone():
                return False
            db.execute(
                "INSERT INTO tokens (token_hash, name, principal, created_at, expires_at) VALUES (?, ?, ?, ?, ?)", row
            )
            return True

        return await self._connection.write(write)

    async def find(self, token_hash: str) -> AccessToken | None:
        """Return one."""

        def read(db: sqlite3.Connection) -> AccessToken | None:
            row = db.execute("SELECT * FROM tokens WHERE token_hash = ?", (token_hash,)).fetchone()
            return None if row is None else AccessToken(**dict(row))

        return await self._connection.run(read)

    async def revoke(self, name: str, at: float) -> bool:
        """Revoke the one of this name; False where there is none that is not revoked."""

        def write(db: sqlite3.Connection) -> bool:
            revoked = db.execute("UPDATE tokens SET revoked_at = ? WHERE name = ? AND revoked_at IS NULL", (at, name))
            return revoked.rowcount == 1

        return await self._connection.write(write)

    async def all(self) -> tuple[AccessToken, ...]:
        """Return every one, oldest first."""

        def read(db: sqlite3.Connection) -> tuple[AccessToken, ...]:
            rows = db.execute("SELECT * FROM tokens ORDER BY created_at, name").fetchall()
            return tuple(AccessToken(**dict(row)) for row in rows)

        return await self._connection.run(read)
