from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tp_mcp.errors import InputError, StoreCorruptError, StoreError
from tp_mcp.history.records import Note, Run, Upgrade, packed, unpacked
from tp_mcp.storage import history as history_tables
from tp_mcp.storage.history import HistoryTable
from tp_mcp.storage.opening import HISTORY_FILE, open_storage
from tp_mcp.triage.recurrence import EarlierExecution

TP = "http://tp.example:8000"
LAB = "AT16_Combined_FSW"


def run(exec_id: int, *, lab: str = LAB, server: str = TP, build: str = "6957") -> Run:
    return Run(server, exec_id, lab, build, float(exec_id), {"t.py::a": "passed", "t.py::ü[1]": "failed"})


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[HistoryTable]:
    async with await open_storage(tmp_path) as storage:
        yield storage.history


async def ids(history: HistoryTable, principal: str = "alice", *, lab: str = LAB, before: int = 1_000) -> list[int]:
    found = await history.earlier(TP, lab, before=before, principal=principal, limit=20)
    return [execution.exec_id for execution in found]


async def test_what_an_execution_came_to_is_kept_and_found_by_its_lab_the_latest_first(history: HistoryTable) -> None:
    for exec_id in (446, 448, 447):
        await history.add(run(exec_id), "alice")
    await history.add(run(449, lab="AT21"), "alice")
    await history.add(run(450, server="http://other"), "alice")
    assert await ids(history) == [448, 447, 446]
    assert await ids(history, before=448) == [447, 446]
    assert await history.one(TP, 447, "alice") == EarlierExecution(
        447, "6957", {"t.py::a": "passed", "t.py::ü[1]": "failed"}
    )


async def test_what_is_told_again_is_kept_once_as_it_was_first(history: HistoryTable) -> None:
    await history.add(run(446), "alice")
    await history.add(run(446, build="7000"), "alice")
    one = await history.one(TP, 446, "alice")
    assert one is not None
    assert one.build == "6957"
    assert await ids(history) == [446]


async def test_nobody_sees_what_only_another_principal_looked_at(history: HistoryTable) -> None:
    await history.add(run(446), "alice")
    assert await ids(history, "bob") == []
    assert await history.one(TP, 446, "bob") is None
    assert await history.known(TP, [446], "bob") == frozenset()
    await history.add(run(446), "bob")
    assert await ids(history, "bob") == [446]
    assert await history.known(TP, [445, 446], "bob") == {446}


async def test_of_each_lab_and_of_all_together_the_newest_are_kept(
    history: HistoryTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_tables, "RUNS_OF_LAB_MAX", 2)
    monkeypatch.setattr(history_tables, "RUNS_MAX", 3)
    for exec_id in range(1, 6):
        await history.add(run(exec_id), "alice")
    assert await ids(history) == [5, 4]
    for exec_id in (6, 7):
        await history.add(run(exec_id, lab="AT21"), "alice")
    assert await ids(history) == [5]
    assert await history.known(TP, range(9), "alice") == {5, 6, 7}


async def test_the_build_at_a_time_is_that_of_the_upgrade_before(
    history: HistoryTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_tables, "UPGRADES_OF_TESTBED_MAX", 2)
    await history.add_upgrade(Upgrade(TP, LAB, 50.0, "6940"))
    await history.add_upgrade(Upgrade(TP, LAB, 100.0, ""))
    await history.add_upgrade(Upgrade(TP, LAB, 100.0, "6950"))
    await history.add_upgrade(Upgrade(TP, LAB, 100.0, "wrong"))
    await history.add_upgrade(Upgrade(TP, LAB, 200.0, "6957"))
    builds = [await history.build_at(TP, LAB, at) for at in (60.0, 100.0, 199.0, 200.0)]
    assert builds == ["", "6950", "6950", "6957"]
    assert await history.build_at(TP, "AT21", 300.0) == ""


async def test_a_note_is_one_principals_and_one_for_each_signature(
    history: HistoryTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_tables, "NOTES_MAX", 2)
    first = Note("alice", TP, "s_1", "known", 10.0, until_build="6990", until_at=99.0)
    await history.note(Note("alice", TP, "s_1", "older", 5.0))
    await history.note(first)
    second = Note("alice", TP, "s_2", "odd", 20.0)
    await history.note(second)
    assert await history.notes("alice", TP) == (second, first)
    assert await history.notes("bob", TP) == ()
    with pytest.raises(InputError, match="2 notes already"):
        await history.note(Note("alice", TP, "s_3", "too many", 30.0))
    assert not await history.forget_note("bob", TP, "s_1")
    assert await history.forget_note("alice", TP, "s_1")
    assert await history.notes("alice", TP) == (second,)


async def test_a_rerun_is_remembered_as_long_as_there_is_room(
    history: HistoryTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_tables, "RERUNS_MAX", 1)
    await history.add_rerun(TP, "w_1", 446, now=1.0)
    assert await history.rerun_of(TP, "w_1") == 446
    await history.add_rerun(TP, "w_2", 447, now=2.0)
    assert await history.rerun_of(TP, "w_1") is None


async def test_it_is_a_file_of_its_own_which_another_process_reads(history: HistoryTable, tmp_path: Path) -> None:
    await history.add(run(446), "alice")
    async with await open_storage(tmp_path) as other:
        assert await ids(other.history) == [446]
    assert (tmp_path / HISTORY_FILE).stat().st_mode & 0o077 == 0


async def test_a_file_that_cannot_be_used_is_said_when_it_is_used(tmp_path: Path) -> None:
    (tmp_path / HISTORY_FILE).write_bytes(b"no database" * 100)
    async with await open_storage(tmp_path) as storage:
        with pytest.raises(StoreError, match="damaged"):
            await storage.history.notes("alice", TP)


async def test_a_file_that_could_not_be_opened_is_opened_once_it_can_be(history: HistoryTable, tmp_path: Path) -> None:
    (tmp_path / HISTORY_FILE).write_bytes(b"no database at all" * 100)
    for _ in range(2):
        with pytest.raises(StoreError, match="damaged"):
            await history.add(run(446), "alice")
    (tmp_path / HISTORY_FILE).unlink()
    await history.add(run(446), "alice")
    assert await ids(history) == [446]


def test_outcomes_that_cannot_be_read_are_said_to_be_damaged() -> None:
    assert unpacked(packed({"t.py::a": "passed"})) == {"t.py::a": "passed"}
    for damaged in (b"no zlib", packed({})[:-7], packed({"t": "sideways"})):  # type: ignore[dict-item]
        with pytest.raises(StoreCorruptError):
            unpacked(damaged)


@pytest.mark.parametrize(
    ("until_build", "build", "holds"),
    [
        ("", "6957", True),
        ("6990", "6957", True),
        ("6990", "6990", False),
        ("6990", "10000", False),
        ("6990", "", True),
        ("0815", "815", False),
        ("rc-2", "rc-1", True),
        ("rc-2", "rc-2", False),
    ],
)
def test_a_note_holds_for_builds_before_the_one_that_ends_it(until_build: str, build: str, holds: bool) -> None:
    assert Note("a", TP, "s", "t", 0.0, until_build=until_build).holds(build=build, now=5.0) is holds


def test_a_note_holds_until_its_time() -> None:
    note = Note("a", TP, "s", "t", 0.0, until_at=10.0)
    assert (note.holds(build="", now=9.9), note.holds(build="", now=10.0)) == (True, False)


async def test_a_closed_storage_opens_its_history_no_more(tmp_path: Path) -> None:
    async with await open_storage(tmp_path) as storage:
        pass
    with pytest.raises(StoreError, match="closed"):
        await storage.history.notes("alice", TP)
    assert not (tmp_path / HISTORY_FILE).exists()
