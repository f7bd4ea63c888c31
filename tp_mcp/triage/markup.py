"""Getting a test's log out of the form in which a report holds it."""

import html
import json
import re
from enum import Enum
from typing import TypeAlias, assert_never

import msgspec

LOG_MAX_CHARACTERS = 200_000
"""Longest log of one row; of a longer one the middle is left out, with a mark."""

# Entities are longer than what they stand for: cutting before decoding bounds the work, cutting after it the length.
_MARKUP_MAX_CHARACTERS = 10 * LOG_MAX_CHARACTERS

Markup: TypeAlias = str | bytes | msgspec.Raw
"""A log as a report holds it. What is not text yet is UTF-8."""

_NO_LOG = "No log output captured."
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,300}>")
# What colours are turned into, where nothing else tells markup from a test's own words.
_COLOUR = re.compile(r'<span class="[\w -]{0,100}">|</span>')
_ROW_LOG = re.compile(rb'<div class="(?:empty )?log">')
_LINE_BREAK = re.compile(r"<br ?/?>")
_ROW_SECTION = re.compile(r"^ ?(-{3,})(Captured [\w ]+?)(-{3,}) ?$", re.MULTILINE)


class LogForm(Enum):
    """How a report holds a log."""

    TEXT = "text"
    """As it was written."""
    ESCAPED = "escaped"
    """HTML, escaped once more for an attribute, as a JSON text: generation 4 from 4.1 on."""
    HALF_ESCAPED = "half-escaped"
    """Likewise, but of a test's own "&", "<" and ">" only those two of its traceback were escaped: generation 4.0."""
    ROW = "row"
    """The HTML of a table row: generation 3."""


def log_text(markup: Markup, form: LogForm) -> str:
    """Return a log as text; empty where the report says that there was none."""
    text: str
    match form:
        case LogForm.TEXT:
            text = markup if isinstance(markup, str) else bytes(markup).decode("utf-8", "replace")
        case LogForm.ROW:
            text = _of_row(bytes(markup if not isinstance(markup, str) else markup.encode("utf-8", "replace")))
        case LogForm.ESCAPED | LogForm.HALF_ESCAPED:
            attribute = markup if isinstance(markup, str) else _of_json(bytes(markup))
            text = html.unescape(_cut_middle(attribute, _MARKUP_MAX_CHARACTERS))
            if form is LogForm.ESCAPED:
                text = html.unescape(_TAG.sub("", text))
            else:
                text = _COLOUR.sub("", text).replace("&lt;", "<").replace("&gt;", ">")
        case _:
            assert_never(form)
    return "" if text.strip() == _NO_LOG else _cut_middle(text, LOG_MAX_CHARACTERS)


def _of_json(data: bytes) -> str:
    try:
        value = json.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return data.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


def _of_row(markup: bytes) -> str:
    # What a test attached stands before its log, and may look like one.
    starts = [match.end() for match in _ROW_LOG.finditer(markup)]
    if not starts:
        return ""
    end = markup.rfind(b"</div>")
    text = markup[starts[-1] : end if end > starts[-1] else None].decode("utf-8", "replace")
    text = _LINE_BREAK.sub("\n", _cut_middle(text, _MARKUP_MAX_CHARACTERS))
    # With the headings that every other form has.
    return _ROW_SECTION.sub(r"\1 \2 \3", html.unescape(_TAG.sub("", text)))


def _cut_middle(text: str, maximum: int) -> str:
    if len(text) <= maximum:
        return text
    half = maximum // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half:,} characters left out ...]\n{text[-half:]}"
