"""One SQLite connection on one thread, and SQLite's failures in our words."""

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from tp_mcp.errors import StoreError, StoreVersionError
from tp_mcp.watch.sqlite.failures import failures_in_our_words
from tp_mcp.watch.sqlite.location import prepare_file
from tp_mcp.watch.sqlite.schema import MIGRATIONS, VERSION
from tp_mcp.watch.sqlite.writing import Write, transaction, write_together

logger = logging.getLogger(__name__)

BUSY_TIMEOUT_SECONDS = 5.0
MOST_WRITES_AT_ONCE = 200
"""In one transaction: who comes after waits no longer than these take."""

Result = TypeVar("Result")


class Connection:
    """Runs functions on the one thread that owns the connection."""

    def __init__(
        self,
        path: Path,
        *,
        busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS,
        migrations: Sequence[str] | None = None,
    ) -> None:
        """Prepare for a file whose tables are made by `migrations`; by those of the watches' store where it is None."""
        self._path = path
        self._migrations = migrations
        self._busy_timeout_seconds = busy_timeout_seconds
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tp-mcp-store")
        self._db: sqlite3.Connection | None = None
        self._waiting: deque[Write[Any]] = deque()

    async def open(self) -> None:
        """Open the file, making it or bringing it up to date where needed.

        Raises:
            StoreError: the file cannot be used; says why and the way out.

        """
        opening = self._thread.submit(self._open)
        try:
            self._db = await self._outlasting(opening)
        except BaseException:
            # Where the caller was cancelled, the thread opens it all the same.
            self._thread.submit(_close_opened, opening)
            self._thread.shutdown(wait=False)
            raise

    async def run(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Return `work(connection)`, run on the connection's thread.

        Raises:
            StoreError: SQLite could not do it.

        """
        db = self._db
        if db is None:
            raise StoreError("The store is closed.")

        def guarded() -> Result:
            with failures_in_our_words(self._path):
                return work(db)

        return await self._outlasting(self._thread.submit(guarded))

    async def write(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Return `work(connection)`, run in a transaction that holds the write lock from its beginning.

        Writes that wait for the thread at the same time share one transaction, and so one wait for the disk; what one
        of them raises undoes that one alone.

        Raises:
            StoreError: SQLite could not do it; nothing of it was written.

        """
        db = self._db
        if db is None:
            raise StoreError("The store is closed.")
        write = Write(work)
        self._waiting.append(write)
        # One turn of the thread for each: those after the first find their writes done, mostly.
        self._thread.submit(self._write_what_waits, db)
        return await self._outlasting(write.done)

    async def close(self) -> None:
        """Close the connection and end its thread, after what was asked for before; closing again does nothing."""
        db, self._db = self._db, None
        if db is not None:
            closing = self._thread.submit(db.close)
            self._thread.shutdown(wait=False)
            await self._outlasting(closing)

    async def _outlasting(self, work: Future[Result]) -> Result:
        # A write that has begun is finished even when its caller is cancelled: cancelling a wait leaves what it waits
        # for alone.
        running = asyncio.wrap_future(work)
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError:
            running.add_done_callback(_told)
            raise
        return running.result()

    def _write_what_waits(self, db: sqlite3.Connection) -> None:
        group: list[Write[Any]] = []
        while self._waiting and len(group) < MOST_WRITES_AT_ONCE:
            group.append(self._waiting.popleft())
        if group:
            write_together(db, group, self._path)

    def _open(self) -> sqlite3.Connection:
        prepare_file(self._path)
        with failures_in_our_words(self._path):
            db = sqlite3.connect(self._path, timeout=self._busy_timeout_seconds, isolation_level=None)
            try:
                db.row_factory = sqlite3.Row
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = FULL")
                db.execute("PRAGMA foreign_keys = ON")
                migrate(db, self._path, self._migrations)
            except BaseException:
                db.close()
                raise
        return db


def _close_opened(opening: Future[sqlite3.Connection]) -> None:
    if opening.exception() is None:
        opening.result().close()


def _told(left: asyncio.Future[Any]) -> None:
    if not left.cancelled() and (error := left.exception()) is not None:
        logger.warning("What a caller who left had asked of the store failed: %s", error)


def migrate(db: sqlite3.Connection, path: Path, migrations: Sequence[str] | None = None) -> None:
    """Bring the tables up to date: those of the watches' store, or those of other migrations.

    Raises:
        StoreVersionError: the file was written by a newer version.

    """
    steps = MIGRATIONS if migrations is None else migrations
    known = VERSION if migrations is None else len(migrations)
    if _version(db) == known:
        # Nothing to write, so a process that holds the file, or a full disk, does not keep it from being read.
        return
    with transaction(db):
        version = _version(db)
        if version > known:
            raise StoreVersionError(
                f"The store {path} was written by a newer tp-mcp (store version {version}, this one knows {known}).",
                remedy="Update tp-mcp, or set TP_MCP_STATE_DIR to another directory.",
            )
        for step in steps[version:]:
            for statement in _statements(step):
                db.execute(statement)
        # A pragma takes no parameters; this is a number of ours.
        db.execute(f"PRAGMA user_version = {known:d}")


def _version(db: sqlite3.Connection) -> int:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
