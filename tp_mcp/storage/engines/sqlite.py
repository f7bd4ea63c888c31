"""One SQLite connection on one thread, and SQLite's errors as errors of the store."""

import asyncio
import copy
import logging
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from tp_mcp.errors import (
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreLocationError,
    StoreVersionError,
)

logger = logging.getLogger(__name__)

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
MOUNTS = Path("/proc/self/mounts")
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "9p", "ceph", "glusterfs", "fuse.sshfs", "fuse.glusterfs"}
)


def prepare_file(path: Path, *, mounts: Path = MOUNTS) -> None:
    """Create the store's directory and file where they are missing, readable by their owner only.

    Raises:
        StoreLocationError: the directory cannot be made or written, or lies on a network file system, where the locks
            that SQLite relies on do not hold.
    """
    try:
        path.parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        network = network_file_system(path.parent, mounts)
        if network is not None:
            raise StoreLocationError(
                f"The state directory {path.parent} is on a network file system ({network}).",
                remedy="Set TP_MCP_STATE_DIR to a directory on a local disk.",
            )
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE))
        path.chmod(FILE_MODE)
    except OSError as error:
        raise StoreLocationError(
            f"The state directory {path.parent} cannot be used: {error.strerror}.",
            remedy="Set TP_MCP_STATE_DIR to a directory that you may write.",
        ) from None


def network_file_system(directory: Path, mounts: Path = MOUNTS) -> str | None:
    """Return the type of a directory's network file system; None for a local or an unknown one."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    resolved = directory.resolve()
    best, best_type = -1, ""
    for line in lines:
        fields = line.split()
        if len(fields) < 3:
            continue
        # The kernel writes a blank in a mount point as \040.
        mount_point = Path(fields[1].replace("\\040", " "))
        depth = len(mount_point.parts)
        if depth >= best and resolved.is_relative_to(mount_point):
            best, best_type = depth, fields[2]
    return best_type if best_type in NETWORK_FILE_SYSTEMS else None


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into the store's."""
    try:
        yield
    except sqlite3.Error as error:
        raise _store_error(error, path) from None
    except (ValueError, OverflowError) as error:
        # A text that is no Unicode, a number that is too large: data from outside must not end more than its own watch.
        raise StoreError(f"The store {path} cannot keep a value: {error}.") from error


def _store_error(error: sqlite3.Error, path: Path) -> StoreError:
    # The low byte is the primary code; the rest is a variant of it.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return StoreBusyError(
            f"The store {path} is held by another process.", remedy="Close that process, or try again in a moment."
        )
    if code == sqlite3.SQLITE_FULL:
        return StoreFullError(
            f"There is no space left for the store {path}.", remedy="Free some space on its disk; nothing was lost."
        )
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return StoreCorruptError(
            f"The store {path} is damaged.",
            remedy=f"Move {path.name} and its -wal and -shm files aside; a new store is made at the next start. "
            "Watches kept in it are gone, jobs on TP are not: list_labs and get_execution still show them.",
        )
    return StoreError(f"The store {path} cannot be used: {error}.", remedy="See whether its directory can be written.")


Result = TypeVar("Result")


@dataclass(slots=True)
class Write(Generic[Result]):
    """One write that waits for its turn.

    Attributes:
        work: writes, in a transaction that is open.
        done: its result, once that is on the disk.
    """

    work: Callable[[sqlite3.Connection], Result]
    done: "Future[Result]" = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class _Raised:
    error: Exception


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Hold the write lock from the beginning; commit at the end, or roll back."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # SQLite rolls some failures back by itself, and a second ROLLBACK would hide the first error.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def write_together(db: sqlite3.Connection, writes: Sequence[Write[Any]], path: Path) -> None:
    """Carry out writes in one transaction; each gets its result once all are on the disk.

    An error in one of them undoes that one alone. Where the whole transaction fails, nothing was written.
    """
    try:
        with store_errors(path), transaction(db):
            results = [_apart(db, write.work, path, alone=len(writes) == 1) for write in writes]
    except Exception as error:  # noqa: BLE001 -- every caller gets it
        for write in writes:
            # A copy for each: an error gathers its traceback where it is raised.
            write.done.set_exception(copy.copy(error))
        return
    for write, result in zip(writes, results, strict=True):
        if isinstance(result, _Raised):
            write.done.set_exception(result.error)
        else:
            write.done.set_result(result)


def _apart(db: sqlite3.Connection, work: Callable[[sqlite3.Connection], Any], path: Path, *, alone: bool) -> object:
    if alone:
        return work(db)
    db.execute("SAVEPOINT one")
    try:
        with store_errors(path):
            result: object = work(db)
    except Exception as error:
        if not db.in_transaction:
            # SQLite rolled all of them back, as it does when the disk is full.
            raise
        db.execute("ROLLBACK TO one")
        result = _Raised(error)
    db.execute("RELEASE one")
    return result


BUSY_TIMEOUT_SECONDS = 5.0
MOST_WRITES_AT_ONCE = 200
"""Most writes in one transaction, so that a later write does not wait for long."""


class Connection:
    """Runs functions on the one thread that owns the connection. A `tp_mcp.storage.table.Database`."""

    def __init__(
        self, path: Path, migrations: Sequence[str], *, busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS
    ) -> None:
        """Prepare for a file whose tables are made by `migrations`."""
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
            with store_errors(self._path):
                return work(db)

        return await self._outlasting(self._thread.submit(guarded))

    async def write(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Return `work(connection)`, run in a transaction that holds the write lock from its beginning.

        Writes that wait for the thread at the same time share one transaction, and so one wait for the disk; an error
        in one of them undoes that one alone.

        Raises:
            StoreError: SQLite could not do it; nothing of it was written.
        """
        db = self._db
        if db is None:
            raise StoreError("The store is closed.")
        write = Write(work)
        self._waiting.append(write)
        # One turn of the thread for each write; later turns usually find their writes done.
        self._thread.submit(self._write_waiting, db)
        return await self._outlasting(write.done)

    async def close(self) -> None:
        """Close the connection and end its thread, after all earlier work; closing again does nothing."""
        db, self._db = self._db, None
        if db is not None:
            closing = self._thread.submit(db.close)
            self._thread.shutdown(wait=False)
            await self._outlasting(closing)

    async def _outlasting(self, work: Future[Result]) -> Result:
        # A write that has begun is finished even when its caller is cancelled.
        running = asyncio.wrap_future(work)
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError:
            running.add_done_callback(_log_failure)
            raise
        return running.result()

    def _write_waiting(self, db: sqlite3.Connection) -> None:
        group: list[Write[Any]] = []
        while self._waiting and len(group) < MOST_WRITES_AT_ONCE:
            group.append(self._waiting.popleft())
        if group:
            write_together(db, group, self._path)

    def _open(self) -> sqlite3.Connection:
        prepare_file(self._path)
        with store_errors(self._path):
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


def _log_failure(left: asyncio.Future[Any]) -> None:
    if not left.cancelled() and (error := left.exception()) is not None:
        logger.warning("The work of a cancelled caller failed in the store: %s", error)


def migrate(db: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    """Bring the tables up to date.

    Raises:
        StoreVersionError: the file was written by a newer version.
    """
    known = len(migrations)
    if _version(db) == known:
        # Nothing to write, so a file that is locked, or on a full disk, can still be read.
        return
    with transaction(db):
        version = _version(db)
        if version > known:
            raise StoreVersionError(
                f"The store {path} was written by a newer tp-mcp (store version {version}, this one knows {known}).",
                remedy="Update tp-mcp, or set TP_MCP_STATE_DIR to another directory.",
            )
        for step in migrations[version:]:
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
