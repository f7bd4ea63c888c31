"""Where the store's file may lie, and with which rights."""

import os
import stat
from pathlib import Path

import pytest

from tp_mcp.errors import StoreLocationError
from tp_mcp.storage.engines.sqlite import NETWORK_FILE_SYSTEMS, network_file_system, prepare_file
from tp_mcp.storage.opening import open_storage


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    return tmp_path / "mounts"


async def test_only_its_owner_may_read_what_a_store_writes(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = (await open_storage(tmp_path / "state")).watches
        await store.unended("http://tp")
        files = sorted((tmp_path / "state").iterdir())
        assert [path.name for path in files] == ["watches.sqlite3", "watches.sqlite3-shm", "watches.sqlite3-wal"]
        assert {mode(path) for path in files} == {0o600}
        assert mode(tmp_path / "state") == 0o700
        await store.close()
    finally:
        os.umask(before)


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "watches.sqlite3"
    path.touch(mode=0o644)
    path.chmod(0o644)
    prepare_file(path)
    assert mode(path) == 0o600


def test_directories_above_are_made_where_they_are_missing(tmp_path: Path) -> None:
    prepare_file(tmp_path / "a" / "b" / "c" / "watches.sqlite3")
    assert mode(tmp_path / "a" / "b" / "c") == 0o700


@pytest.mark.parametrize("name", ["file/state/watches.sqlite3", "file/watches.sqlite3"])
def test_a_directory_that_cannot_be_made_is_named_with_the_way_out(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreLocationError, match="cannot be used") as refused:
        prepare_file(tmp_path / name)
    assert "TP_MCP_STATE_DIR" in refused.value.remedy
    assert str((tmp_path / name).parent) in refused.value.message


@pytest.mark.parametrize("kind", sorted(NETWORK_FILE_SYSTEMS))
def test_a_network_file_system_is_refused_before_anything_is_written(tmp_path: Path, mounts: Path, kind: str) -> None:
    home = tmp_path / "net home"
    home.mkdir()
    mounts.write_text(f"server:/export {str(home).replace(' ', chr(92) + '040')} {kind} rw 0 0\n", encoding="utf-8")
    with pytest.raises(StoreLocationError, match=f"network file system \\({kind}\\)"):
        prepare_file(home / "state" / "watches.sqlite3", mounts=mounts)
    assert not (home / "state" / "watches.sqlite3").exists()


def test_the_innermost_mount_counts_and_the_last_of_several(tmp_path: Path, mounts: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    mounts.write_text(
        f"short line\n/dev/sda / ext4 rw\nserver:/ {tmp_path}/a nfs4 rw\n/dev/sdb {tmp_path}/a/b ext4 rw\n",
        encoding="utf-8",
    )
    assert network_file_system(tmp_path, mounts) is None
    assert network_file_system(tmp_path / "a", mounts) == "nfs4"
    assert network_file_system(tmp_path / "a" / "b", mounts) is None
    with mounts.open("a", encoding="utf-8") as more:
        more.write(f"server:/ {tmp_path}/a/b cifs rw\n")
    assert network_file_system(tmp_path / "a" / "b", mounts) == "cifs"


def test_a_link_counts_as_where_it_leads(tmp_path: Path, mounts: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "net")
    mounts.write_text(f"server:/ {tmp_path}/net nfs rw\n", encoding="utf-8")
    assert network_file_system(tmp_path / "link", mounts) == "nfs"


def test_a_system_without_a_list_of_mounts_counts_as_local(tmp_path: Path, mounts: Path) -> None:
    assert network_file_system(tmp_path, mounts) is None
    prepare_file(tmp_path / "state" / "watches.sqlite3", mounts=mounts)
