"""The base of all tables: statements run on the database's own thread, and rows are converted there too."""

import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

import anyio

from tp_mcp.errors import StoreError

Db: TypeAlias = sqlite3.Connection
"""Runs statements, inside `Database.run` and `Database.write`."""

Row: TypeAlias = Mapping[str, Any]
Values: TypeAlias = Sequence[object] | Mapping[str, object]
Result = TypeVar("Result")


class Database(Protocol):
    """An open database of one engine. Every method may raise StoreError."""

    async def run(self, work: Callable[[Db], Result]) -> Result:
        """Return `work(db)`, which only reads."""
        ...

    async def write(self, work: Callable[[Db], Result]) -> Result:
        """Return `work(db)`, run in a transaction that is on the disk when this returns."""
        ...

    async def close(self) -> None:
        """Close it; it cannot be used afterwards."""
        ...


class OpenedWhenUsed:
    """A database that is opened when it is first used: one that cannot be opened costs the tables in it, and no others.

    A failed opening is tried again at the next use: its cause, such as a full disk, may have passed.
    """

    def __init__(self, open_database: Callable[[], Awaitable[Database]]) -> None:
        self._open_database = open_database
        self._opening = anyio.Lock()
        self._database: Database | None = None
        self._closed = False

    async def run(self, work: Callable[[Db], Result]) -> Result:
        """As `Database.run`."""
        return await (await self._opened()).run(work)

    async def write(self, work: Callable[[Db], Result]) -> Result:
        """As `Database.write`."""
        return await (await self._opened()).write(work)

    async def close(self) -> None:
        """As `Database.close`."""
        async with self._opening:
            self._closed = True
            if self._database is not None:
                await self._database.close()

    async def _opened(self) -> Database:
        async with self._opening:
            if self._closed:
                raise StoreError("The store is closed.")
            if self._database is None:
                self._database = await self._open_database()
            return self._database


class Table:
    """Base of the classes that own SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def _all(self, convert: Callable[[Any], Result], sql: str, values: Values = ()) -> tuple[Result, ...]:
        """Return every row of a query, converted."""
        return await self._database.run(lambda db: tuple(convert(row) for row in db.execute(sql, values)))

    async def _first(self, convert: Callable[[Any], Result], sql: str, values: Values = ()) -> Result | None:
        """Return the first row of a query, converted; None where there is none."""

        def read(db: Db) -> Result | None:
            row = db.execute(sql, values).fetchone()
            return None if row is None else convert(row)

        return await self._database.run(read)

    async def _change(self, sql: str, values: Values = ()) -> int:
        """Run one statement that writes; return how many rows it changed."""
        return await self._database.write(lambda db: db.execute(sql, values).rowcount)


def insert_sql(table: str, row: Mapping[str, object]) -> str:
    """Return the statement that inserts a row; table and column names are ours, every value is a parameter."""
    columns, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
    return f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608
