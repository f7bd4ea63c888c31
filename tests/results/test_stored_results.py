import errno
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.support.clock import FakeClock, still_clock
from tp_mcp.errors import InvalidArgumentError, StoreError, StoreFullError
from tp_mcp.redaction import Redactor
from tp_mcp.results.blobs import digest_of
from tp_mcp.results.stored_results import ENTRY_MAX_BYTES, StoredResults, shortened_to
from tp_mcp.storage.blobs import STORED_RESULTS_LIMITS, BlobDirectory

DAY = 86_400.0
SECRET = "correct-horse-battery"


@pytest.fixture
def clock() -> FakeClock:
    return still_clock()


@pytest.fixture
def new_results(tmp_path: Path, clock: FakeClock) -> Callable[..., StoredResults]:
    """Open the one directory, as another process or the next start does."""

    def opened(*, entry_bytes: int = ENTRY_MAX_BYTES, **limits: Any) -> StoredResults:
        redactor = Redactor((SecretStr(SECRET),))
        blobs = BlobDirectory(tmp_path / "shelf", clock, replace(STORED_RESULTS_LIMITS, **limits))
        return StoredResults(blobs, redactor.safe, entry_bytes=entry_bytes)

    return opened


def files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "shelf").rglob("*") if path.is_file()]


async def test_what_is_kept_is_there_also_after_a_restart(new_results: Callable[..., StoredResults]) -> None:
    text = "first\n\n  last: grün 語\n"
    result_id = await new_results().keep("alice", text, what="a result of get_execution")
    assert re.fullmatch("r_[0-9a-z]{16}", result_id)
    kept = await new_results().get("alice", result_id)
    assert (kept.what, kept.text) == ("a result of get_execution", text)


async def test_another_principal_is_told_the_same_as_of_an_id_that_never_was(
    new_results: Callable[..., StoredResults],
) -> None:
    stored = new_results()
    result_id = await stored.keep("alice", "hers", what="a result")
    told = []
    for principal, asked in (("bob", result_id), ("alice", result_id.replace(result_id[-4:], "0000"))):
        with pytest.raises(InvalidArgumentError) as caught:
            await stored.get(principal, asked)
        told.append(str(caught.value).replace(asked, "..."))
    assert told[0] == told[1]


@pytest.mark.parametrize(
    "result_id", ["", "r_", "../../etc/passwd", "r_../../../../../../x", "r_" + "x" * 9_000, "r_\0"]
)
async def test_an_id_that_is_none_leads_nowhere(new_results: Callable[..., StoredResults], result_id: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        await new_results().get("alice", result_id)
    assert len(str(caught.value)) < 400


async def test_only_the_owner_may_read_the_files_and_no_secret_is_in_them(
    new_results: Callable[..., StoredResults], tmp_path: Path
) -> None:
    result_id = await new_results().keep("alice/../..", f"a {SECRET[:7]}\x1b[0m{SECRET[7:]} b", what=f"of {SECRET}")
    (path,) = files(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert SECRET not in path.read_text()
    assert (await new_results().get("alice/../..", result_id)).text == "a [redacted] b"


async def test_it_is_gone_after_a_week(
    new_results: Callable[..., StoredResults], clock: FakeClock, tmp_path: Path
) -> None:
    stored = new_results()
    result_id = await stored.keep("alice", "old", what="a result")
    clock.time += 7 * DAY - 1
    assert (await stored.get("alice", result_id)).text == "old"
    clock.time += 2
    with pytest.raises(InvalidArgumentError):
        await stored.get("alice", result_id)
    await stored.keep("bob", "new", what="a result")
    assert [path.parent.name for path in files(tmp_path)] == [digest_of("bob")]


async def test_the_oldest_of_a_principal_go_first(new_results: Callable[..., StoredResults], clock: FakeClock) -> None:
    stored = new_results(group_blobs=3)
    other = await stored.keep("bob", "his", what="a result")
    result_ids = []
    for number in range(5):
        clock.time += 1
        result_ids.append(await stored.keep("alice", f"text {number}", what="a result"))
    for result_id in result_ids[:2]:
        with pytest.raises(InvalidArgumentError):
            await stored.get("alice", result_id)
    assert [(await stored.get("alice", result_id)).text for result_id in result_ids[2:]] == [
        "text 2",
        "text 3",
        "text 4",
    ]
    assert (await stored.get("bob", other)).text == "his"


async def test_neither_a_principal_nor_all_together_have_more_bytes_than_they_may(
    new_results: Callable[..., StoredResults], clock: FakeClock, tmp_path: Path
) -> None:
    stored = new_results(group_bytes=3_000, all_bytes=5_000)
    for number in range(30):
        clock.time += 1
        await stored.keep(f"principal {number % 3}", "x" * 900, what="a result")
        sizes = [(path.parent, path.stat().st_size) for path in files(tmp_path)]
        assert sum(size for _, size in sizes) <= 5_000
        for directory in {directory for directory, _ in sizes}:
            assert sum(size for at, size in sizes if at == directory) <= 3_000


async def test_a_giant_text_keeps_its_beginning_and_its_end(new_results: Callable[..., StoredResults]) -> None:
    stored = new_results(entry_bytes=2_000)
    result_id = await stored.keep("alice", "a" + "語" * 5_000 + "z", what="a result")
    text = (await stored.get("alice", result_id)).text
    assert len(text.encode()) < 2_100
    assert text.startswith("a語")
    assert text.endswith("語z")
    left_out = re.search(r"\[\.\.\. ([0-9,]+) characters left out \.\.\.\]", text)
    assert left_out is not None
    assert int(left_out[1].replace(",", "")) + text.count("語") == 5_000
    assert shortened_to("short", 2_000) == "short"


@pytest.mark.parametrize(
    ("number", "kind", "said"),
    [
        (errno.ENOSPC, StoreFullError, "there is no space left on the disk"),
        (errno.EDQUOT, StoreFullError, "there is no space left on the disk"),
        (errno.EROFS, StoreError, "the state directory cannot be written (Read-only file system)"),
    ],
)
async def test_a_full_disk_is_said_and_leaves_nothing_half_written(
    new_results: Callable[..., StoredResults],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    kind: type[StoreError],
    said: str,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.utime", full)
    with pytest.raises(kind) as caught:
        await new_results().keep("alice", "text", what="a result")
    assert caught.value.message == said
    assert files(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"no header\ntext", b"[]\ntext", b"{}\ntext", b"\xff\xfe\ntext"])
async def test_a_damaged_file_is_as_good_as_none(
    new_results: Callable[..., StoredResults], tmp_path: Path, content: bytes
) -> None:
    result_id = await new_results().keep("alice", "text", what="a result")
    (path,) = files(tmp_path)
    path.write_bytes(content)
    with pytest.raises(InvalidArgumentError):
        await new_results().get("alice", result_id)


async def test_a_file_that_another_process_removes_meanwhile_is_left_out(
    new_results: Callable[..., StoredResults], tmp_path: Path
) -> None:
    await new_results().keep("alice", "text", what="a result")
    (path,) = files(tmp_path)
    path.with_name("r_gone").symlink_to(path.with_name("nowhere"))
    assert await new_results().keep("alice", "more", what="a result")
