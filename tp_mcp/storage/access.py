"""Confirmations, the audit log, access tokens and users' logins as rows. The ports in `tp_mcp.access` document them."""

import json
from dataclasses import asdict

from tp_mcp.access.access_tokens import AccessToken
from tp_mcp.access.audit_log import AuditEntry, AuditFilter, Event
from tp_mcp.access.confirmations import Confirmation
from tp_mcp.access.credentials import StoredCredential
from tp_mcp.access.policy import Action
from tp_mcp.storage.table import Db, Row, Table, insert_sql

FORGOTTEN_AFTER_SECONDS = 24 * 3600.0
"""How long after it expired the row of a confirmation is dropped; the audit log has its outcome."""


class ConfirmationTable(Table):
    """Keeps confirmations."""

    async def add(self, confirmation: Confirmation) -> None:
        row = {
            **asdict(confirmation),
            "plan": json.dumps(confirmation.plan),
            "by_person": int(confirmation.by_person),
        }
        old = confirmation.expires_at - FORGOTTEN_AFTER_SECONDS

        def write(db: Db) -> None:
            db.execute("DELETE FROM confirmations WHERE expires_at < ?", (old,))
            db.execute(insert_sql("confirmations", row), row)

        await self._database.write(write)

    async def get(self, code_hash: str) -> Confirmation | None:
        return await self._first(_confirmation, "SELECT * FROM confirmations WHERE code_hash = ?", (code_hash,))

    async def approve(self, code_hash: str, at: float) -> bool:
        return await self._stamp("approved_at", code_hash, at)

    async def use(self, code_hash: str, at: float) -> bool:
        return await self._stamp("used_at", code_hash, at)

    async def _stamp(self, column: str, code_hash: str, at: float) -> bool:
        sql = (
            f"UPDATE confirmations SET {column} = ? WHERE code_hash = ? "  # noqa: S608 -- a name of ours
            f"AND {column} IS NULL AND used_at IS NULL AND expires_at > ?"
        )
        return await self._change(sql, (at, code_hash, at)) == 1


def _confirmation(row: Row) -> Confirmation:
    values = {**dict(row), "plan": tuple(json.loads(row["plan"])), "by_person": bool(row["by_person"])}
    return Confirmation(**values)


class AuditTable(Table):
    """Keeps the audit log. Triggers keep its entries from being changed or dropped."""

    async def append(self, entry: AuditEntry) -> None:
        row = asdict(entry)
        await self._change(insert_sql("audit", row), row)

    async def append_within(self, entry: AuditEntry, *, limit: int, since: float) -> bool:
        row = asdict(entry)
        count = "SELECT count(*) FROM audit WHERE principal = ? AND action = ? AND event = ? AND at > ?"
        values = (entry.principal, entry.action, Event.SENDING, since)

        def write(db: Db) -> bool:
            if db.execute(count, values).fetchone()[0] >= limit:
                return False
            db.execute(insert_sql("audit", row), row)
            return True

        return await self._database.write(write)

    async def read(self, wanted: AuditFilter) -> tuple[AuditEntry, ...]:
        sql = (
            "SELECT at, call, principal, conversation, tool, event, action, testbed, detail FROM audit "
            "WHERE at >= ? AND (? IS NULL OR testbed = ?) AND (? IS NULL OR principal = ?) ORDER BY id DESC LIMIT ?"
        )
        values = (wanted.since, wanted.testbed, wanted.testbed, wanted.principal, wanted.principal, wanted.limit)
        return (await self._all(_audit_entry, sql, values))[::-1]


def _audit_entry(row: Row) -> AuditEntry:
    action = row["action"]
    values = {**dict(row), "event": Event(row["event"]), "action": None if action is None else Action(action)}
    return AuditEntry(**values)


class TokenTable(Table):
    """Keeps the server's own access tokens."""

    async def add(self, token: AccessToken) -> bool:
        row = asdict(token)

        def write(db: Db) -> bool:
            if db.execute("SELECT 1 FROM tokens WHERE name = ? AND revoked_at IS NULL", (token.name,)).fetchone():
                return False
            db.execute(insert_sql("tokens", row), row)
            return True

        return await self._database.write(write)

    async def find(self, token_hash: str) -> AccessToken | None:
        return await self._first(_token, "SELECT * FROM tokens WHERE token_hash = ?", (token_hash,))

    async def revoke(self, name: str, at: float) -> bool:
        sql = "UPDATE tokens SET revoked_at = ? WHERE name = ? AND revoked_at IS NULL"
        return await self._change(sql, (at, name)) == 1

    async def all(self) -> tuple[AccessToken, ...]:
        return await self._all(_token, "SELECT * FROM tokens ORDER BY created_at, name")


def _token(row: Row) -> AccessToken:
    return AccessToken(**dict(row))


class CredentialTable(Table):
    """Keeps the encrypted TP logins of users."""

    async def put(self, credential: StoredCredential) -> None:
        row = asdict(credential)
        await self._change(insert_sql("credentials", row).replace("INSERT", "INSERT OR REPLACE", 1), row)

    async def get(self, server: str, principal: str) -> StoredCredential | None:
        sql = "SELECT * FROM credentials WHERE server = ? AND principal = ?"
        return await self._first(_credential, sql, (server, principal))

    async def remove(self, server: str, principal: str) -> bool:
        sql = "DELETE FROM credentials WHERE server = ? AND principal = ?"
        return await self._change(sql, (server, principal)) == 1

    async def all(self, server: str) -> tuple[StoredCredential, ...]:
        return await self._all(_credential, "SELECT * FROM credentials WHERE server = ? ORDER BY principal", (server,))


def _credential(row: Row) -> StoredCredential:
    return StoredCredential(**dict(row))
