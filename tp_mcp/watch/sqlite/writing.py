"""Writes in transactions: one alone, or several that share one."""

import copy
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from tp_mcp.watch.sqlite.failures import failures_in_our_words

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
    """Carry writes out in one transaction, and tell each what came of it once all are on the disk.

    What one of them raises undoes that one alone. Where the transaction as a whole fails, nothing was written.
    """
    try:
        with failures_in_our_words(path), transaction(db):
            results = [_apart(db, write.work, path, alone=len(writes) == 1) for write in writes]
    except Exception as error:  # noqa: BLE001 -- whoever asked for a write is told
        for write in writes:
            # Each has its own: an error that is raised gathers where it came through.
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
        with failures_in_our_words(path):
            result: object = work(db)
    except Exception as error:
        if not db.in_transaction:
            # SQLite rolled all of them back, as it does when the disk is full.
            raise
        db.execute("ROLLBACK TO one")
        result = _Raised(error)
    db.execute("RELEASE one")
    return result
