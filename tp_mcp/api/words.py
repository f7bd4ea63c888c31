"""What TP says in an error: hostile text, made fit to be repeated in one line."""

import json
import re

from tp_mcp.redaction import Redactor

LONGEST_WORDS = 500
"""Characters of TP's own words that an error repeats."""

_MOST_BYTES = 20_000
_SAYING_KEYS = ("error", "detail", "message", "msg", "reason", "non_field_errors")
_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")


def clean(text: str, redactor: Redactor, *, longest: int = LONGEST_WORDS) -> str:
    """Return `text` as one line without control or invisible characters and secrets; what is cut says so."""
    # Redaction comes before the cut, which could leave half a secret, and after the control characters, which could
    # take one apart.
    printable = "".join(
        each if each.isprintable() else " " if each.isspace() else "" for each in _ESCAPE_SEQUENCE.sub("", text)
    )
    line = redactor.redact(" ".join(printable.split()))
    return line if len(line) <= longest else f"{line[:longest]}... (cut)"


def server_words(body: bytes, redactor: Redactor) -> str:
    """Return what TP said in the body of an error; empty where it said nothing readable, as in an HTML page."""
    text = body[:_MOST_BYTES].decode("utf-8", errors="replace").strip()
    if text.startswith("<"):
        return ""
    try:
        said = _said(json.loads(text))
    except (ValueError, RecursionError):
        said = text
    return clean(said, redactor)


def _said(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        for key in _SAYING_KEYS:
            if words := _flat(value.get(key)):
                return words
        return "; ".join(f"{key}: {words}" for key, each in value.items() if (words := _flat(each)))
    return _flat(value)


def _flat(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(each for each in value if isinstance(each, str))
    return value if isinstance(value, str) else ""
