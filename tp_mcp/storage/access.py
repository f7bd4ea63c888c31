"""Confirmations and the audit log as rows of the store's file."""

import json
import sqlite3

from tp_mcp.access.access_tokens import AccessToken
from tp_mcp.access.audit_log import AuditEntry, AuditFilter, Event
from tp_mcp.access.confirmations import Confirmation
from tp_mcp.access.credentials import StoredCredential
from tp_mcp.access.policy import Action
from tp_mcp.storage.engines.sqlite import Connection

FORGOTTEN_AFTER_SECONDS = 24 * 3600.0
"""How long after its end the row of a question is dropped; the audit log has what became of it."""


class SqliteConfirmations:
    """The confirmation port over the store's connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, confirmation: Confirmation) -> None:
        """Write a new one; drops those that expired long ago."""
        row = (
            confirmation.code_hash,
            confirmation.principal,
            confirmation.conversation,
            confirmation.digest,
            json.dumps(confirmation.plan),
            confirmation.testbed,
            confirmation.by_person,
            confirmation.expires_at,
        )

        def write(db: sqlite3.Connection) -> None:
            db.execute(
                "DELETE FROM confirmations WHERE expires_at < ?", (confirmation.expires_at - FORGOTTEN_AFTER_SECONDS,)
            )
            db.execute(
                "INSERT INTO confirmations (code_hash, principal, conversation, digest, plan, testbed, by_person, "
                "expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )

        await self._connection.write(write)

    async def get(self, code_hash: str) -> Confirmation | None:
        """Return one."""

        def read(db: sqlite3.Connection) -> Confirmation | None:
            row = db.execute("SELECT * FROM confirmations WHERE code_hash = ?", (code_hash,)).fetchone()
            return None if row is None else _confirmation(row)

        return await self._connection.run(read)

    async def approve(self, code_hash: str, at: float) -> bool:
        """Write that a person approved it; False where it was approved, used or expired by then."""
        return await self._stamp("approved_at", code_hash, at)

    async def use(self, code_hash: str, at: float) -> bool:
        """Write that it is used; False where it was used or expired by then."""
        return await self._stamp("used_at", code_hash, at)

    async def _stamp(self, column: str, code_hash: str, at: float) -> bool:
        def write(db: sqlite3.Connection) -> bool:
            stamped = db.execute(
                f"UPDATE confirmations SET {column} = ? WHERE code_hash = ? "  # noqa: S608 -- a name of ours
                f"AND {column} IS NULL AND used_at IS NULL AND expires_at > ?",
                (at, code_hash, at),
            )
            return stamped.rowcount == 1

        return await self._connection.write(write)


class SqliteAuditLog:
    """The audit port over the store's connection. Triggers keep its lines from being changed or dropped."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def append(self, entry: AuditEntry) -> None:
        """Write a line."""
        await self._connection.write(lambda db: _insert(db, entry))

    async def append_within(self, entry: AuditEntry, *, limit: int, since: float) -> bool:
        """Write that something is being sent, unless the principal did so `limit` times since a time already."""

        def write(db: sqlite3.Connection) -> bool:
            if _count(db, entry, since) >= limit:
                return False
            _insert(db, entry)
            return True

        return await self._connection.write(write)

    async def read(self, wanted: AuditFilter) -> tuple[AuditEntry, ...]:
        """Return lines, oldest first."""

        def read(db: sqlite3.Connection) -> tuple[AuditEntry, ...]:
            rows = db.execute(
                "SELECT * FROM audit WHERE at >= ? AND (? IS NULL OR testbed = ?) AND (? IS NULL OR principal = ?) "
                "ORDER BY id DESC LIMIT ?",
                (wanted.since, wanted.testbed, wanted.testbed, wanted.principal, wanted.principal, wanted.limit),
            )
            return tuple(_entry(row) for row in rows)[::-1]

        return await self._connection.run(read)


def _insert(db: sqlite3.Connection, entry: AuditEntry) -> None:
    db.execute(
        "INSERT INTO audit (at, call, principal, conversation, tool, event, action, testbed, detail) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            entry.at,
            entry.call,
            entry.principal,
            entry.conversation,
            entry.tool,
            entry.event,
            entry.action,
            entry.testbed,
            entry.detail,
        ),
    )


def _count(db: sqlite3.Connection, entry: AuditEntry, since: float) -> int:
    counted: int = db.execute(
        "SELECT count(*) FROM audit WHERE principal = ? AND action = ? AND event = ? AND at > ?",
        (entry.principal, entry.action, Event.SENDING, since),
    ).fetchone()[0]
    return counted


def _entry(row: sqlite3.Row) -> AuditEntry:
    return AuditEntry(
        at=row["at"],
        call=row["call"],
        principal=row["principal"],
        conversation=row["conversation"],
        tool=row["tool"],
        event=Event(row["event"]),
        action=None if row["action"] is None else Action(row["action"]),
        testbed=row["testbed"],
        detail=row["detail"],
    )


def _confirmation(row: sqlite3.Row) -> Confirmation:
    return Confirmation(
        code_hash=row["code_hash"],
        principal=row["principal"],
        conversation=row["conversation"],
        digest=row["digest"],
        plan=tuple(json.loads(row["plan"])),
        testbed=row["testbed"],
        by_person=bool(row["by_person"]),
        expires_at=row["expires_at"],
        approved_at=row["approved_at"],
        used_at=row["used_at"],
    )


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
