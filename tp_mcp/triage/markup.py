"""Decoding of a test's log from the markup of a report."""

import html
import json
import re
from enum import Enum
from typing import TypeAlias, assert_never

import msgspec

LOG_MAX_CHARACTERS = 200_000
"""Limit of one row's log; a longer one loses its middle, with a mark."""

# An entity is longer than its character: the first cut bounds the work, the second one the length.
_MARKUP_MAX_CHARACTERS = 10 * LOG_MAX_CHARACTERS

Markup: TypeAlias = str | bytes | msgspec.Raw
"""A log as stored in a report; bytes are UTF-8."""

_NO_LOG = "No log output captured."
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,300}>")
# Markup of colours, where nothing else distinguishes markup from a test's own text.
_COLOUR = re.compile(r'<span class="[\w -]{0,100}">|</span>')
_ROW_LOG = re.compile(rb'<div class="(?:empty )?log">')
_LINE_BREAK = re.compile(r"<br ?/?>")
_ROW_SECTION = re.compile(r"^ ?(-{3,})(Captured [\w ]+?)(-{3,}) ?$", re.MULTILINE)


class LogForm(Enum):
    """Encoding of a log in a report."""

    TEXT = "text"
    """Plain text."""
    ESCAPED = "escaped"
    """HTML, escaped for an attribute, in a JSON string: generation 4 from 4.1 on."""
    HALF_ESCAPED = "half-escaped"
    """The same, but in a test's own text only "<" and ">" were escaped, not "&": generation 4.0."""
    ROW = "row"
    """HTML of a table row: generation 3."""


def log_text(markup: Markup, form: LogForm) -> str:
    """Return a log as text; empty if the report says that there was none."""
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
    # A test's attachments precede its log and may look like one.
    starts = [match.end() for match in _ROW_LOG.finditer(markup)]
    if not starts:
        return ""
    end = markup.rfind(b"</div>")
    text = markup[starts[-1] : end if end > starts[-1] else None].decode("utf-8", "replace")
    text = _LINE_BREAK.sub("\n", _cut_middle(text, _MARKUP_MAX_CHARACTERS))
    # With the headings of the other forms.
    return _ROW_SECTION.sub(r"\1 \2 \3", html.unescape(_TAG.sub("", text)))


def _cut_middle(text: str, maximum: int) -> str:
    if len(text) <= maximum:
        return text
    half = maximum // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half:,} characters left out ...]\n{text[-half:]}"
