"""Blobs as files: bounded by size and age, whoever writes them, and never half written."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.clock import FakeClock, still_clock
from tp_mcp.errors import StoreError
from tp_mcp.storage import blobs as blob_files
from tp_mcp.storage.blobs import BlobDirectory, BlobLimits

DAY = 86_400.0
NewBlobs = Callable[..., BlobDirectory]


@pytest.fixture
def clock() -> FakeClock:
    return still_clock()


@pytest.fixture
def new_blobs(tmp_path: Path, clock: FakeClock) -> NewBlobs:
    """Open the one directory, as another process does."""

    def opened(*, all_bytes: int = 10_000, **limits: Any) -> BlobDirectory:
        return BlobDirectory(tmp_path / "blobs", clock, BlobLimits(all_bytes=all_bytes, age_seconds=DAY, **limits))

    return opened


def files(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "blobs").rglob("*") if path.is_file()}


def put(blobs: BlobDirectory, group: str, name: str, data: bytes) -> None:
    blobs.make_room(group, len(data))
    blobs.write(group, name, data)


def test_a_part_is_read_and_what_is_appended_replaces_the_bytes_from_there_on(new_blobs: NewBlobs) -> None:
    blobs = new_blobs()
    blobs.append("a group", "446.0.txt", b"one two", at=0)
    blobs.append("a group", "446.0.txt", b"and three", at=4)
    assert blobs.read("a group", "446.0.txt") == b"one and three"
    assert new_blobs().read("a group", "446.0.txt", begin=4, end=7) == b"and"
    assert blobs.read("another group", "446.0.txt") is None
    assert blobs.read("a group", "447.0.txt") is None


def test_between_two_listings_there_are_never_more_bytes_than_may_be(new_blobs: NewBlobs, tmp_path: Path) -> None:
    blobs = new_blobs()
    for number in range(60):
        put(blobs, f"group {number % 7}", f"b{number}", b"x" * (137 * number % 1_900))
        kept = sum(path.stat().st_size for path in (tmp_path / "blobs").rglob("*") if path.is_file())
        assert kept <= 10_000


def test_the_files_of_a_blob_go_together_the_oldest_blob_first(
    new_blobs: NewBlobs, clock: FakeClock, tmp_path: Path
) -> None:
    blobs = new_blobs(group_blobs=2)
    for number in (1, 2, 3):
        clock.time += 1
        put(blobs, "a group", f"{number}.0.txt", b"text")
        blobs.write("a group", f"{number}.json", b"{}")
    assert files(tmp_path) == {"2.0.txt", "2.json", "3.0.txt", "3.json"}


def test_an_index_goes_before_its_text(
    new_blobs: NewBlobs, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blobs = new_blobs()
    put(blobs, "a group", "446.3.txt", b"text")
    blobs.write("a group", "446.json", b"{}")
    removed: list[str] = []
    really = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        removed.append(path.name)
        really(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    clock.time += 2 * DAY
    new_blobs().make_room("a group", 0)
    assert removed == ["446.json", "446.3.txt"]
    assert files(tmp_path) == set()


def test_what_a_writer_that_died_left_behind_goes_with_its_age(
    new_blobs: NewBlobs, clock: FakeClock, tmp_path: Path
) -> None:
    blobs = new_blobs()
    put(blobs, "a group", "whole", b"text")
    [whole] = (tmp_path / "blobs").rglob("whole")
    unfinished = whole.with_name(".5f0c")
    unfinished.write_bytes(b"half a te")
    os.utime(unfinished, (clock.time, clock.time))
    clock.time += DAY - 1
    blobs.write("a group", "later", b"text")
    clock.time += 2
    new_blobs().make_room("a group", 0)
    assert files(tmp_path) == {"later"}


def test_a_blob_that_is_too_old_is_not_read_although_nothing_was_written_since(
    new_blobs: NewBlobs, clock: FakeClock
) -> None:
    blobs = new_blobs()
    put(blobs, "a group", "old", b"text")
    clock.time += DAY + 1
    assert blobs.read("a group", "old") is None


def test_a_lock_is_one_processs_and_free_once_it_is_left(new_blobs: NewBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_files, "LOCK_PAUSE_SECONDS", 0.0)
    with new_blobs().locked("a group") as first, new_blobs().locked("a group") as second:
        assert (first, second) == (True, False)
    with new_blobs().locked("a group") as free:
        assert free


def test_a_directory_that_cannot_be_made_is_a_store_error(new_blobs: NewBlobs, tmp_path: Path) -> None:
    (tmp_path / "blobs").write_bytes(b"a file")
    with pytest.raises(StoreError, match="the state directory cannot be written"):
        new_blobs().write("a group", "name", b"text")
