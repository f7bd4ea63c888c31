"""What is made of an answer: the part that is asked for, without secrets."""

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
"""Longest part of an answer that an error repeats."""


WORDS_MAX_BYTES = 100_000
"""Longest answer that an error repeats any part of."""

DEEPEST_LEVELS = 200
"""How deep lists and objects of an answer may be nested in one another."""


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """An answer as it came.

    Attributes:
        headers: names in lower case.

    """

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    @property
    def value(self) -> JsonValue:
        """The body: JSON where it is JSON, None where it is empty, else text."""
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
        status: the HTTP status.
        headers: the named headers of the answer, as far as it has them.
        value: the answer, or the part of it that the tool shows.

    """

    status: int
    headers: tuple[tuple[str, str], ...]
    value: JsonValue

    def text(self) -> str:
        """Return what is shown to a model: the headers one to a line, then the answer."""
        lines = [f"{name}: {value}" for name, value in self.headers]
        shown = self.value if isinstance(self.value, str) else json.dumps(self.value, ensure_ascii=False, indent=2)
        return "\n".join((*lines, "", shown) if lines else (shown,))


def tool_answer(tool: ToolManifest, raw: RawAnswer, redactor: Redactor) -> ToolAnswer:
    """Return what a tool shows of an answer."""
    wanted = {name.lower(): name for name in tool.request.capture_response_headers}
    headers = tuple((wanted[name], redactor.redact(value)) for name, value in raw.headers if name in wanted)
    return ToolAnswer(raw.status, headers, redacted(shaped(tool, raw.value), redactor))


def shaped(tool: ToolManifest, value: JsonValue) -> JsonValue:
    """Return the items at `items_path` alone, each with its `response_fields` alone.

    An answer that has no list at `items_path` stays whole, because it is another one than the tool knows.
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
    """Return a value with every secret in its texts, keys and numbers taken out.

    Raises:
        ConnectorError: it is nested more than `levels` deep.

    """
    if levels == 0:
        raise ConnectorError(f"The answer is nested more than {DEEPEST_LEVELS} levels deep.")
    if isinstance(value, str):
        return redactor.redact(value)
    if isinstance(value, list):
        return [redacted(item, redactor, levels=levels - 1) for item in value]
    if isinstance(value, dict):
        return {redactor.redact(key): redacted(item, redactor, levels=levels - 1) for key, item in value.items()}
    if isinstance(value, int | float) and not isinstance(value, bool):
        # A secret of digits may come back as a number.
        text = json.dumps(value)
        return value if redactor.redact(text) == text else REDACTED
    return value


def words_of(raw: RawAnswer, redactor: Redactor) -> str:
    """Return what an answer says, in one short line; empty where it is a page, or nothing, or a document."""
    # All of it or nothing is looked at: a part could end in the middle of a secret.
    text = raw.body.decode("utf-8", errors="replace").strip() if len(raw.body) <= WORDS_MAX_BYTES else ""
    if text.startswith("<"):
        return ""
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    # Redacted before the cut, which could leave half a secret.
    line = redactor.redact(line)
    return line if len(line) <= WORDS_MAX_CHARACTERS else f"{line[:WORDS_MAX_CHARACTERS]}... (cut)"


def _kept(item: JsonValue, paths: Sequence[Sequence[str]]) -> JsonValue:
    """Keep the parts of an object at some paths, where they are; a list on the way is gone through item by item."""
    if isinstance(item, list):
        return [_kept(each, paths) for each in item]
    if not isinstance(item, Mapping):
        return item
    below: dict[str, list[Sequence[str]]] = {}
    for first, *rest in paths:
        if first in item:
            below.setdefault(first, []).append(rest)
    # A path that ends here keeps all of it, whatever longer ones say.
    return {
        name: item[name] if any(not rest for rest in rests) else _kept(item[name], rests)
        for name, rests in below.items()
    }
