"""A file from before a watch had its kind and its testbed gets both from the key of the job, arguments and baseline."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import JsonValue

from tp_mcp.storage.opening import open_storage
from tp_mcp.storage.schema import MIGRATIONS
from tp_mcp.storage.watch_rows import watch_to_row
from tp_mcp.watch.model.watch import Origin, Watch

STEPS_BEFORE = 10
"""How many steps of the schema such a file has taken."""


@pytest.mark.parametrize(
    ("job", "tool", "arguments", "baseline", "kind", "testbed"),
    [
        ("upgrade:AT16", "start_upgrade", {"testbed": "AT16", "mode": "build"}, None, "upgrade", "AT16"),
        ("upgrade:AT:16", "start_watch", {"tool": "get_upgrade", "args": {}}, None, "upgrade", "AT:16"),
        ("run:AT16", "run_pytest", {"lab": "AT16"}, {"lab": "AT16"}, "execution", "AT16"),
        ("execution:446", "run_pytest", {"lab": "AT16"}, {"lab": "AT16"}, "execution", "AT16"),
        ("execution:446", "start_watch", {"tool": "get_execution"}, {"lab": "AT21"}, "execution", "AT21"),
        ("execution:446", "start_watch", {"tool": "get_execution"}, {"lab": None}, "execution", ""),
        ("labs:", "start_watch", {"tool": "list_labs"}, None, "", ""),
        ("step:w_00000009", "run_pytest", {"lab": "AT16"}, None, "", "AT16"),
    ],
)
async def test_a_watch_of_an_earlier_file_has_its_kind_and_testbed(
    path: Path,
    make_watch: Callable[..., Watch],
    job: str,
    tool: str,
    arguments: dict[str, JsonValue],
    baseline: JsonValue,
    kind: str,
    testbed: str,
) -> None:
    watch = replace(make_watch(), job=job, origin=Origin(tool, arguments), baseline=baseline)
    row = watch_to_row(watch)
    del row["kind"], row["testbed"]
    path.parent.mkdir(mode=0o700)
    db = sqlite3.connect(path)
    for step in MIGRATIONS[:STEPS_BEFORE]:
        db.executescript(step)
    db.execute(f"INSERT INTO watches ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", list(row.values()))
    db.execute(f"PRAGMA user_version = {STEPS_BEFORE}")
    db.commit()
    db.close()
    store = (await open_storage(path.parent)).watches
    assert await store.get(watch.id) == replace(watch, kind=kind, testbed=testbed)
    await store.close()
