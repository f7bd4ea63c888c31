"""`tp-mcp audit`: who asked for what change, how it was decided, and what came of it."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import anyio
import typer

from tp_mcp.access.audit_log import AuditEntry, AuditFilter
from tp_mcp.errors import TpMcpError
from tp_mcp.redaction import clean
from tp_mcp.storage.opening import open_storage


def run_audit(state_dir: Path, wanted: AuditFilter, *, as_json: bool) -> int:
    """Print the lines, and return the exit code: 0, or 1 where the log cannot be read."""
    try:
        entries = anyio.run(_read, state_dir, wanted)
    except TpMcpError as error:
        typer.echo(str(error), err=True)
        return 1
    for line in _json_lines(entries) if as_json else _lines(entries):
        typer.echo(line)
    if not as_json and len(entries) == wanted.limit:
        typer.echo(f"These are the newest {wanted.limit}; --limit shows more.")
    return 0


async def _read(state_dir: Path, wanted: AuditFilter) -> tuple[AuditEntry, ...]:
    async with await open_storage(state_dir) as storage:
        return await storage.audit.read(wanted)


def _json_lines(entries: tuple[AuditEntry, ...]) -> Iterator[str]:
    for entry in entries:
        yield json.dumps({**asdict(entry), "at": _time(entry)}, ensure_ascii=False)


def _lines(entries: tuple[AuditEntry, ...]) -> Iterator[str]:
    for entry in entries:
        where = f" {entry.testbed}" if entry.testbed else ""
        told = f": {clean(entry.detail)}" if entry.detail else ""
        yield f"{_time(entry)} {entry.call} {entry.principal} {entry.tool}{where} {entry.event}{told}"


def _time(entry: AuditEntry) -> str:
    return datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="seconds")
