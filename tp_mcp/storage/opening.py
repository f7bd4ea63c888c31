"""Opens the stores in a state directory. The one place that knows the database engines."""

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio

from tp_mcp.clock import Clock, SystemClock
from tp_mcp.storage.access import AuditTable, ConfirmationTable, CredentialTable, TokenTable
from tp_mcp.storage.blobs import LOGS_LIMITS, STORED_RESULTS_LIMITS, BlobDirectory
from tp_mcp.storage.delivery import OutboxTable, TaskTable
from tp_mcp.storage.engines.sqlite import Connection
from tp_mcp.storage.history import HistoryTable
from tp_mcp.storage.schema import HISTORY_MIGRATIONS, MIGRATIONS
from tp_mcp.storage.table import Database, OpenedWhenUsed
from tp_mcp.storage.watches import WatchStore
from tp_mcp.watch.delivery.outbox import EventsOfEnd, no_events

STORE_FILE = "watches.sqlite3"
HISTORY_FILE = "history.sqlite3"
STORED_RESULTS_DIRECTORY = "shelf"
LOGS_DIRECTORY = "logs"


@dataclass(frozen=True, slots=True)
class Storage:
    """Everything that is kept. As a context manager it closes itself.

    Attributes:
        watches: watches, the inbox, leases and the log of deliveries.
        outbox: events on their way to webhooks.
        tasks: tasks of clients.
        confirmations: plans that wait for an answer.
        audit: the audit log.
        tokens: the server's own access tokens.
        credentials: TP logins of users, encrypted.
        history: results of ended executions, upgrades, notes and reruns; its file is opened when it is first used.
        stored_results: results that were too large to show.
        logs: logs of executions.
    """

    watches: WatchStore
    outbox: OutboxTable
    tasks: TaskTable
    confirmations: ConfirmationTable
    audit: AuditTable
    tokens: TokenTable
    credentials: CredentialTable
    history: HistoryTable
    stored_results: BlobDirectory
    logs: BlobDirectory

    async def close(self) -> None:
        """Close it; it cannot be used afterwards."""
        with anyio.CancelScope(shield=True):
            await self.history.close()
            await self.watches.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


async def open_storage(
    directory: Path, *, events_of_end: EventsOfEnd = no_events, clock: Clock | None = None
) -> Storage:
    """Open the storage of a state directory, creating it where there is none.

    Args:
        directory: the state directory.
        events_of_end: returns the events to send of an end; they are written in its transaction. It must not raise.
        clock: measures the age of stored results and logs; None for the system's clock.

    Raises:
        StoreError: it cannot be used; says why and the way out.
    """
    clock = clock or SystemClock()
    database = await _open_sqlite(directory / STORE_FILE, MIGRATIONS)
    return Storage(
        watches=WatchStore(database, events_of_end),
        outbox=OutboxTable(database),
        tasks=TaskTable(database),
        confirmations=ConfirmationTable(database),
        audit=AuditTable(database),
        tokens=TokenTable(database),
        credentials=CredentialTable(database),
        history=HistoryTable(OpenedWhenUsed(lambda: _open_sqlite(directory / HISTORY_FILE, HISTORY_MIGRATIONS))),
        stored_results=BlobDirectory(directory / STORED_RESULTS_DIRECTORY, clock, STORED_RESULTS_LIMITS),
        logs=BlobDirectory(directory / LOGS_DIRECTORY, clock, LOGS_LIMITS),
    )


async def _open_sqlite(path: Path, migrations: tuple[str, ...]) -> Database:
    connection = Connection(path, migrations)
    await connection.open()
    return connection
