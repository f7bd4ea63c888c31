"""Answers of a connector's requests, reduced to the wanted parts, without secrets."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from pydantic import JsonValue

from tp_mcp.connectors.manifest import ToolManifest
from tp_mcp.connectors.template import look_up
from tp_mcp.errors import ConnectorError
from tp_mcp.redaction import REDACTED, Redactor

WORDS_MAX_CHARACTERS = 300
"""Limit of an answer's text in an error."""


WORDS_MAX_BYTES = 100_000
"""Limit of an answer whose text an error repeats, in bytes."""

DEEPEST_LEVELS = 200
"""Limit of nested lists and objects in an answer."""


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """An uninterpreted answer; the names of its headers are in lower case."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    @property
    def value(self) -> JsonValue:
        """The body: parsed JSON, None if empty, else text."""
        if not self.body.strip():
            return None
        text = self.body.decode("utf-8", errors="replace")
        try:
            return cast("JsonValue", json.loads(text))
        except (ValueError, RecursionError):
            return text


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """The answer of a tool, without secrets.

    Attributes:
        headers: requested headers that the answer has.
        value: answer, or the part of it that the tool returns.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    value: JsonValue

    def text(self) -> str:
        """Return the text for a model: one line for each header, then the answer."""
        lines = [f"{name}: {value}" for name, value in self.headers]
        text = self.value if isinstance(self.value, str) else json.dumps(self.value, ensure_ascii=False, indent=2)
        return "\n".join((*lines, "", text) if lines else (text,))


def tool_answer(tool: ToolManifest, raw: RawAnswer, redactor: Redactor) -> ToolAnswer:
    """Return a tool's answer."""
    wanted = {name.lower(): name for name in tool.request.capture_response_headers}
    headers = tuple((wanted[name], redactor.redact(value)) for name, value in raw.headers if name in wanted)
    return ToolAnswer(raw.status, headers, redacted(shaped(tool, raw.value), redactor))


def shaped(tool: ToolManifest, value: JsonValue) -> JsonValue:
    """Return only the items at `items_path`, each reduced to its `response_fields`.

    An answer without a list at `items_path` is returned unchanged, because the tool does not know its form.
    """
    if tool.items_path is not None:
        items = look_up(tool.items_path, value)
        if not isinstance(items, list):
            return value
        value = items
    if tool.response_fields is None:
        return value
    paths = [path.split(".") for path in tool.response_fields]
    if isinstance(value, list):
        return [_kept(item, paths) for item in value]
    return _kept(value, paths)


def redacted(value: JsonValue, redactor: Redactor, *, levels: int = DEEPEST_LEVELS) -> JsonValue:
    """Return a value without secrets in texts, keys and numbers; raise ConnectorError beyond `levels` of nesting."""
    if levels == 0:
        raise ConnectorError(f"The answer is nested more than {DEEPEST_LEVELS} levels deep.")
    if isinstance(value, str):
        return redactor.redact(value)
    if isinstance(value, list):
        return [redacted(item, redactor, levels=levels - 1) for item in value]
    if isinstance(value, dict):
        return {redactor.redact(key): redacted(item, redactor, levels=levels - 1) for key, item in value.items()}
    if isinstance(value, int | float) and not isinstance(value, bool):
        # A secret of digits may be returned as a number.
        text = json.dumps(value)
        return value if redactor.redact(text) == text else REDACTED
    return value


def words_of(raw: RawAnswer, redactor: Redactor) -> str:
    """Return an answer's text as one short line; empty for a page, an empty or a long answer."""
    # All or nothing: a part could end in the middle of a secret.
    text = raw.body.decode("utf-8", errors="replace").strip() if len(raw.body) <= WORDS_MAX_BYTES else ""
    if text.startswith("<"):
        return ""
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    # Redact before the cut, which could leave half a secret.
    line = redactor.redact(line)
    return line if len(line) <= WORDS_MAX_CHARACTERS else f"{line[:WORDS_MAX_CHARACTERS]}... (cut)"


def _kept(item: JsonValue, paths: Sequence[Sequence[str]]) -> JsonValue:
    """Keep the parts of an object at the given paths; lists on the way are processed item by item."""
    if isinstance(item, list):
        return [_kept(each, paths) for each in item]
    if not isinstance(item, Mapping):
        return item
    below: dict[str, list[Sequence[str]]] = {}
    for first, *rest in paths:
        if first in item:
            below.setdefault(first, []).append(rest)
    # A path that ends here keeps the whole value, despite longer paths.
    return {
        name: item[name] if any(not rest for rest in rests) else _kept(item[name], rests)
        for name, rests in below.items()
    }
