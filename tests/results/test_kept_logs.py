import errno
import fcntl
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from tests.support.clock import FakeClock, still_clock
from tp_mcp.redaction import Redactor
from tp_mcp.results import kept_logs
from tp_mcp.results.kept_logs import KeptLogs, LogLimits, Tail
from tp_mcp.storage import blobs as blob_files
from tp_mcp.storage.blobs import LOGS_LIMITS, BlobDirectory, BlobLimits

SERVER = "http://tp.example:8000"
SECRET = "correct-horse-battery"
DAY = 86_400.0
TAIL_BYTES = 4_096


@pytest.fixture
def clock() -> FakeClock:
    return still_clock()


@pytest.fixture
def new_logs(tmp_path: Path, clock: FakeClock) -> Callable[..., KeptLogs]:
    """Open the one directory as another process does."""

    def opened(server: str = SERVER, *, all_bytes: int = LOGS_LIMITS.all_bytes, **limits: Any) -> KeptLogs:
        redactor = Redactor((SecretStr(SECRET),))
        blobs = BlobDirectory(tmp_path / "logs", clock, replace(LOGS_LIMITS, all_bytes=all_bytes))
        return KeptLogs(blobs, server, redactor.safe, LogLimits(**limits))

    return opened


def lines(first: int, last: int) -> str:
    return "".join(f"line {number:06}\n" for number in range(first, last))


def tail(data: str, size: int | None = None, *, final: bool = False) -> Tail:
    size = len(data) if size is None else size
    return Tail(data[max(0, size - TAIL_BYTES) : size], size, final=final)


async def text_of(logs: KeptLogs, exec_id: int = 446) -> str:
    kept = await logs.get(exec_id)
    assert kept is not None
    return kept.text


def files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "logs").rglob("*") if path.is_file() and path.name != ".lock")


async def test_two_processes_that_look_in_turn_make_one_log(new_logs: Callable[..., KeptLogs]) -> None:
    data = lines(0, 2_000)
    processes = [new_logs(), new_logs()]
    for turn, size in enumerate(range(1_000, len(data), 2_000)):
        await processes[turn % 2].take_in(446, tail(data, size))
    await processes[0].take_in(446, tail(data, final=True))
    assert await text_of(new_logs()) == data
    kept = await new_logs().get(446)
    assert kept is not None
    assert (kept.size, kept.missing, kept.dropped) == (len(data), 0, 0)


async def test_a_little_news_waits_for_the_next_tail_and_the_end_does_not(
    new_logs: Callable[..., KeptLogs], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, logs = lines(0, 2_000), new_logs()
    looked: list[Any] = []
    taken_in = logs._take_in

    def counted(*args: Any) -> None:
        looked.append(args)
        taken_in(*args)

    monkeypatch.setattr(logs, "_take_in", counted)
    for size in range(2_000, 6_000, 20):
        await logs.take_in(446, tail(data, size))
    assert 2 <= len(looked) <= 6
    await logs.take_in(446, tail(data, 6_000, final=True))
    await logs.take_in(446, tail(data, 6_000, final=True))
    assert looked[-1][1].final
    assert not looked[-2][1].final
    assert await text_of(logs) == data[:5_999] + "\n"


async def test_a_principal_who_saw_a_tail_may_read_the_log_and_no_other(new_logs: Callable[..., KeptLogs]) -> None:
    logs = new_logs()
    await logs.take_in(446, tail(lines(0, 5)), reader="alice")
    await logs.take_in(446, tail(lines(0, 5)), reader="alice")
    assert await new_logs().admits(446, "alice")
    assert not await logs.admits(446, "bob")
    assert not await logs.admits(447, "alice")
    assert await logs.get(446) is None
    await logs.take_in(446, tail(lines(0, 5), final=True), reader="bob")
    assert await logs.admits(446, "bob")
    assert await text_of(logs) == lines(0, 5)


async def test_another_tps_execution_of_the_same_number_is_another_log(new_logs: Callable[..., KeptLogs]) -> None:
    await new_logs().take_in(446, tail(lines(0, 5), final=True))
    assert await new_logs("http://other.example").get(446) is None


async def test_an_empty_log_leaves_no_file(new_logs: Callable[..., KeptLogs], tmp_path: Path) -> None:
    logs = new_logs()
    await logs.take_in(446, Tail("", 0, final=False))
    await logs.take_in(446, Tail("x", 1, final=False))
    await logs.take_in(446, Tail("", None, final=False))
    assert files(tmp_path) == []


async def test_a_long_log_keeps_its_beginning_and_its_end_and_says_what_was_dropped(
    new_logs: Callable[..., KeptLogs], tmp_path: Path
) -> None:
    data = lines(0, 4_000)
    logs = new_logs(head_bytes=1_000, tail_bytes=3_000, slack_bytes=1_000)
    for size in range(0, len(data), 2_000):
        await logs.take_in(446, tail(data, size))
        path = next((tmp_path / "logs").rglob("446.*.txt"), None)
        assert path is None or path.stat().st_size < 5_200
    await logs.take_in(446, tail(data, final=True))
    kept = await logs.get(446)
    assert kept is not None
    assert kept.generation > 2
    head, mark, end = re.split(r"(\[\.\.\. [\d,]+ bytes were dropped here: [^\n]*\n)", kept.text)
    assert data.startswith(head)
    assert data.endswith(end)
    assert len(head) + kept.dropped + len(end) == len(data)
    assert f"{kept.dropped:,}" in mark
    assert files(tmp_path) == [f"446.{kept.generation}.txt", "446.json"]


async def test_only_the_owner_may_read_the_files_and_no_secret_is_in_them(
    new_logs: Callable[..., KeptLogs], tmp_path: Path
) -> None:
    await new_logs().take_in(446, tail(f"a {SECRET} b\n", final=True), reader="alice")
    paths = [path for path in (tmp_path / "logs").rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}
    assert not any(SECRET in path.read_text() for path in paths)


async def test_what_a_process_that_died_left_behind_is_written_over(
    new_logs: Callable[..., KeptLogs], tmp_path: Path
) -> None:
    data = lines(0, 500)
    await new_logs().take_in(446, tail(data, 3_000))
    path = next((tmp_path / "logs").rglob("446.0.txt"))
    with path.open("a") as file:
        file.write("half a li")
    assert "half" not in await text_of(new_logs())
    await new_logs().take_in(446, tail(data, 6_000, final=True))
    assert await text_of(new_logs()) == data[:6_000]


async def test_a_progress_bar_moves_on_without_being_written(new_logs: Callable[..., KeptLogs]) -> None:
    bar = "first\n" + "".join(f"{number:05} of 01000\r" for number in range(1_000)) + "done\n"
    logs = new_logs()
    for size in range(400, len(bar), 2_000):
        await logs.take_in(446, tail(bar, size))
    await logs.take_in(446, tail(bar, final=True))
    assert await text_of(logs) == "first\ndone\n"


async def test_a_secret_that_is_learnt_while_a_log_grows_does_not_tear_it_apart(
    tmp_path: Path, clock: FakeClock
) -> None:
    secrets: list[SecretStr] = []
    blobs = BlobDirectory(tmp_path / "logs", clock, LOGS_LIMITS)
    logs = KeptLogs(blobs, SERVER, Redactor(secrets).safe)
    data = f"a token {SECRET} here\n" * 400
    await logs.take_in(446, tail(data, 3_000))
    secrets.append(SecretStr(SECRET))
    await logs.take_in(446, tail(data, 6_000, final=True))
    text = await text_of(logs)
    assert "starts again" not in text
    assert text.count(f"a token {SECRET} here\n") + text.count("a token [redacted] here\n") == 6_000 // 35


async def test_a_damaged_state_or_a_missing_text_is_as_good_as_none(
    new_logs: Callable[..., KeptLogs], tmp_path: Path
) -> None:
    await new_logs().take_in(446, tail(lines(0, 5), final=True))
    next((tmp_path / "logs").rglob("446.0.txt")).unlink()
    assert await new_logs().get(446) is None
    next((tmp_path / "logs").rglob("446.json")).write_text("{")
    assert await new_logs().get(446) is None
    await new_logs().take_in(446, tail(lines(0, 9), final=True))
    assert await text_of(new_logs()) == lines(0, 9)


async def test_logs_that_are_old_or_too_much_go(
    new_logs: Callable[..., KeptLogs], clock: FakeClock, tmp_path: Path
) -> None:
    logs = new_logs(all_bytes=10_000)
    for exec_id in range(1, 6):
        clock.time += 1
        await logs.take_in(exec_id, tail(lines(0, 300), final=True))
    assert len(files(tmp_path)) <= 8
    assert await logs.get(1) is None
    assert await logs.get(5) is not None
    clock.time += 15 * DAY
    await new_logs("http://other.example").take_in(9, tail(lines(0, 3), final=True))
    assert files(tmp_path) == ["9.0.txt", "9.json"]


async def test_a_disk_that_is_full_breaks_nothing_and_the_next_tail_is_tried_again(
    new_logs: Callable[..., KeptLogs], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    logs = new_logs()
    with monkeypatch.context() as patched:
        patched.setattr("tp_mcp.storage.blobs.os.utime", full)
        await logs.take_in(446, tail(lines(0, 200)))
    assert "The log of execution 446 could not be kept" in caplog.text
    assert await logs.get(446) is None
    await logs.take_in(446, tail(lines(0, 200), final=True))
    assert await text_of(logs) == lines(0, 200)


async def test_a_process_that_does_not_let_the_lock_go_is_not_waited_for(
    new_logs: Callable[..., KeptLogs], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blob_files, "LOCK_PAUSE_SECONDS", 0.0)
    logs = new_logs()
    await logs.take_in(446, tail(lines(0, 200)))
    lock = os.open(next((tmp_path / "logs").rglob(".lock")), os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    await logs.take_in(446, tail(lines(0, 250), final=True))
    os.close(lock)
    assert await text_of(logs) != lines(0, 250)
    await logs.take_in(446, tail(lines(0, 250), final=True))
    assert await text_of(logs) == lines(0, 250)


async def test_what_a_process_remembers_is_bounded(
    new_logs: Callable[..., KeptLogs], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_logs, "REMEMBERED_MAX", 2)
    logs = new_logs()
    for exec_id in range(1, 5):
        await logs.take_in(exec_id, tail(lines(0, 100)))
    assert list(logs._remembered) == [3, 4]


async def test_many_threads_of_one_process_keep_each_log(new_logs: Callable[..., KeptLogs]) -> None:
    logs = new_logs()
    async with anyio.create_task_group() as tasks:
        for exec_id in range(1, 41):
            tasks.start_soon(logs.take_in, exec_id, tail(lines(0, 100), final=True))
    assert [exec_id for exec_id in range(1, 41) if await logs.get(exec_id) is None] == []


async def test_the_files_are_not_looked_through_for_each_log(
    new_logs: Callable[..., KeptLogs], clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[object] = []
    scandir = os.scandir

    def counted(path: Path | str) -> object:
        if isinstance(path, Path):  # pathlib itself calls it with a text
            looks.append(path)
        return scandir(path)

    monkeypatch.setattr("tp_mcp.storage.blobs.os.scandir", counted)
    logs = new_logs()
    for exec_id in range(1, 101):
        await logs.take_in(exec_id, tail(lines(0, 100), final=True))
    assert len(looks) == 1
    clock.time += blob_files.LOOK_SECONDS
    await logs.take_in(446, tail(lines(0, 100), final=True))
    assert len(looks) == 2


async def test_a_file_that_goes_away_meanwhile_counts_as_nothing(
    new_logs: Callable[..., KeptLogs], clock: FakeClock, tmp_path: Path
) -> None:
    await new_logs().take_in(446, tail(lines(0, 300), final=True))
    [state] = (tmp_path / "logs").rglob("446.json")
    (state.parent / "447.json").symlink_to("gone")
    BlobDirectory(tmp_path / "logs", clock, BlobLimits(all_bytes=10, age_seconds=DAY)).make_room(SERVER, 0)
    assert files(tmp_path) == []
