"""TP's statuses and other short values, formatted for use in a sentence."""

from tp_mcp.redaction import Redactor, one_line
from tp_mcp.results.text import shorten

KNOWN_STATUSES = frozenset(
    {
        *("UNKNOWN", "PROGRESS", "SUCCESS", "FAILURE", "TIMEOUT"),
        *("Initiating", "Running", "Done", "Failed", "Cancelled"),
    }
)
"""Those of upgrades and those of executions."""

WORD_MAX_CHARACTERS = 60
STATUS_MAX_CHARACTERS = 56
"""Longest status that is none of the known ones, without its quotes."""


def status_words(status: str) -> str:
    """Return a status as it may stand in a sentence of ours: a known one as it is, any other short and in quotes."""
    text = one_line(status)
    if text in KNOWN_STATUSES or not text:
        return text
    text = shorten(Redactor().redact(text), STATUS_MAX_CHARACTERS).replace('"', "'")
    return f'"{text}"'


def word(value: object) -> str:
    """Return a value of TP's as one short printable word or phrase."""
    # Redacted before it is shortened: the cut may remove the text by which a secret is recognized.
    return shorten(Redactor().redact(one_line(str(value))), WORD_MAX_CHARACTERS)
