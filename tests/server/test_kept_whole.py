"""Any text, any JSON, any budget: a result is within it, marked where it was cut, and its whole is kept."""

import asyncio
import json
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import examples
from tp_mcp.clock import SystemClock
from tp_mcp.errors import StoreFullError
from tp_mcp.redaction import Redactor, SafeText
from tp_mcp.results.document import Document, ItemList, LogExcerpt, Paragraph, Section
from tp_mcp.results.limits import MINIMUM_LIMIT, RESULT_MAX_BYTES
from tp_mcp.results.stored_results import StoredResults
from tp_mcp.results.text import Size
from tp_mcp.results.text_pages import page
from tp_mcp.server.rendering import CUT_MAX_CHARACTERS, kept_text
from tp_mcp.storage.blobs import STORED_RESULTS_LIMITS, BlobDirectory

TELLS = re.compile(
    r"\n\n\[Shown: ([\d,]+) of ([\d,]+) characters\. read_result\(handle=\"(r_\w{16})\"\) has the whole\.\]$"
)

TEXTS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=300),
    st.builds(
        lambda text, times: text * times,
        st.text(st.sampled_from("ab \n語🙂`\u0301\u200b\x1b[m\r"), min_size=1, max_size=30),
        st.integers(1, 300),
    ),
    st.recursive(st.none() | st.integers() | st.text(max_size=200), st.lists, max_leaves=40).map(
        lambda value: json.dumps([value], ensure_ascii=False)
    ),
)
SECTIONS: st.SearchStrategy[Section] = st.one_of(
    st.builds(Paragraph, TEXTS),
    st.builds(ItemList, TEXTS, st.lists(TEXTS, max_size=20).map(tuple), TEXTS, st.sampled_from(["", "TP"])),
    st.builds(LogExcerpt, TEXTS, TEXTS),
)
DOCUMENTS = st.builds(Document, TEXTS, st.lists(SECTIONS, max_size=8).map(tuple), TEXTS)


def pages_of(text: str) -> str:
    parts, begin = [], 0
    while begin < len(text):
        part = page(text, begin, Size(1_000, 2_000))
        parts.append(part.text)
        begin = part.end
    return "".join(parts)


async def cut_and_read(document: Document, budget: int, directory: Path) -> tuple[str, str, str]:
    """Return a result, what was to be kept of it, and what the handle that it tells leads to."""
    redactor = Redactor()
    stored = StoredResults(BlobDirectory(directory, SystemClock(), STORED_RESULTS_LIMITS), redactor.safe)
    wholes = [""]

    async def keep(whole: str) -> str:
        wholes.append(whole)
        return await stored.keep("alice", whole, what="a result")

    text = await kept_text(document, SafeText(""), redactor, max_characters=budget, keep=keep)
    told = TELLS.search(text)
    return text, wholes[-1], "" if told is None else (await stored.get("alice", told[3])).text


@examples(150)
@given(DOCUMENTS, st.integers(MINIMUM_LIMIT + CUT_MAX_CHARACTERS, 4_000))
def test_any_document_within_any_budget_and_the_whole_of_it_stored(document: Document, budget: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        text, whole, read = asyncio.run(cut_and_read(document, budget, Path(directory)))
    assert len(text) <= budget
    assert len(text.encode()) <= RESULT_MAX_BYTES
    told = TELLS.search(text)
    if told is None:
        assert whole == ""
        assert "[Shown: " not in text
        return
    assert read == pages_of(read) == whole
    assert (told[1], told[2]) == (f"{told.start():,}", f"{len(whole):,}")
    clean = Redactor().safe(whole)
    for section in document.sections:
        for part in section.items if isinstance(section, ItemList) else [section.text]:
            for line in Redactor().safe(part).strip().split("\n"):
                assert line.strip() in clean


async def test_what_a_tool_left_out_itself_is_kept_too(tmp_path: Path) -> None:
    full = Document("Conclusion.", (Paragraph("all of it"),))
    text, whole, read = await cut_and_read(Document("Conclusion.", full=full), 2_000, tmp_path)
    assert text.startswith("Conclusion.\n\n[Shown: 11 of 22 characters. read_result(")
    assert read == whole == "Conclusion.\n\nall of it"


@pytest.mark.slow
async def test_what_is_too_large_to_be_kept_whole_says_so(tmp_path: Path) -> None:
    text, whole, _ = await cut_and_read(Document("Done.", (LogExcerpt("Log", "line\n" * 1_700_000),)), 2_000, tmp_path)
    assert len(whole) > 8_400_000
    assert " has its beginning and its end; it is too large to be kept whole.]" in text


@pytest.mark.parametrize("reason", ["there is no space left on the disk", "x" * 900])
async def test_where_the_whole_cannot_be_kept_the_result_says_so(reason: str) -> None:
    async def full(_: str) -> str:
        raise StoreFullError(reason)

    text = await kept_text(Document("x" * 9_000), SafeText(""), Redactor(), max_characters=2_000, keep=full)
    assert len(text) <= 2_000
    assert "characters. The rest could not be kept: " in text
