"""The part of TP's answers that is kept with a watch.

Rules get an answer whole; the kept part fills messages. So long texts, deep nesting and long lists are cut, and values
that the store cannot save are replaced: TP may send anything.

Logs are not kept: the log of a device session shows its commands, with a password. No message that comes with tp-mcp
uses them; a template that names one, such as `{poll.log_tail}`, shows that it is not kept.
"""

import re

from pydantic import JsonValue

from tp_mcp.redaction import Redactor, clean
from tp_mcp.results.text import shorten

KEPT_MAX_CHARACTERS = 500
"""Longest text; also the limit of one template in a message."""
KEPT_MAX_VALUES = 500
KEPT_MAX_DEPTH = 8
KEPT_MAX_NUMBER = 2**63
LOG_NOT_KEPT = "[logs are not kept]"

_LOG = re.compile(r"(?i)(?:^|_)logs?(?:_|$)")


def kept(answer: JsonValue) -> JsonValue:
    """Return a copy of an answer with at most `KEPT_MAX_VALUES` values, and marks at the cuts."""
    return _Copy().of(answer, KEPT_MAX_DEPTH)


class _Copy:
    """A copy in progress, and the number of values it has room for."""

    def __init__(self) -> None:
        self._left = KEPT_MAX_VALUES

    def of(self, value: JsonValue, depth: int) -> JsonValue:
        self._left -= 1
        if isinstance(value, str):
            return _text(value)
        if isinstance(value, list):
            return self._list(value, depth)
        if isinstance(value, dict):
            return self._object(value, depth)
        if isinstance(value, bool) or value is None:
            return value
        # JSON has no infinite numbers, and TP counts nothing that needs longer integers.
        return value if abs(value) < KEPT_MAX_NUMBER else None

    def _list(self, values: list[JsonValue], depth: int) -> JsonValue:
        if depth == 0:
            return _left_out(len(values))
        copy: list[JsonValue] = []
        for value in values:
            if self._left <= 0:
                return [*copy, _left_out(len(values) - len(copy))]
            copy.append(self.of(value, depth - 1))
        return copy

    def _object(self, values: dict[str, JsonValue], depth: int) -> JsonValue:
        if depth == 0:
            return _left_out(len(values))
        copy: dict[str, JsonValue] = {}
        for name, value in values.items():
            if self._left <= 0:
                copy["..."] = _left_out(len(values) - len(copy))
                break
            copy[_text(name)] = LOG_NOT_KEPT if _is_log(name, value) else self.of(value, depth - 1)
        return copy


def _is_log(name: str, value: JsonValue) -> bool:
    # A number with such a name is a log's size.
    return bool(value) and not isinstance(value, int | float) and _LOG.search(name) is not None


def _text(text: str) -> str:
    if text.isascii() and len(text) <= KEPT_MAX_CHARACTERS:
        # The usual case; without a copy, the watches that share an answer share its texts.
        return text
    # A lone surrogate, which JSON allows, cannot be encoded.
    written = text.encode("utf-8", "replace").decode("utf-8")
    # Before the cut, which may remove the mark of a secret and leave the secret.
    return shorten(Redactor().redact(clean(written)), KEPT_MAX_CHARACTERS)


def _left_out(values: int) -> str:
    return f"[... {values:,} values left out ...]"
