"""Complete examination of a manifest's text: all problems and warnings, even if it is unusable."""

import copy
import itertools
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from tp_mcp.connectors.findings import Finding, Located, existing_path, located, schema_findings
from tp_mcp.connectors.manifest import Manifest, unknown_keys
from tp_mcp.connectors.validation import manifest_problems, manifest_warnings

MOST_NODES = 200_000
"""Limit of visited nodes: a few aliases can expand to billions."""


class NotYamlError(Exception):
    """The text is not readable YAML; `line` is that of the error, from 1."""

    def __init__(self, what: str, line: int = 1) -> None:
        super().__init__(what)
        self.line = line
        self.what = what


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """A document as plain data, with the line of each key and item by dotted path, and its duplicate keys."""

    value: Any
    lines: dict[str, int]
    repeated: tuple[Finding, ...]


def read_yaml(text: str) -> YamlDocument:
    """Parse a document with its lines; raise NotYamlError if it is not YAML, or has an unreadable value."""
    # Imported here to keep it out of the server's start.
    import yaml  # noqa: PLC0415 - start-up time

    # Both are safe loaders, which only build plain data.
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    lines: dict[str, int] = {}
    repeated: list[Finding] = []
    try:
        root = loader.get_single_node()
        if root is None:
            return YamlDocument(None, lines, ())
        _note(root, lines, repeated)
        return YamlDocument(loader.construct_document(root), lines, tuple(repeated))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be parsed"
        where = f" (column {mark.column + 1})" if mark is not None else ""
        raise NotYamlError(f"the file is not YAML here{where}: {what}", 1 if mark is None else mark.line + 1) from None
    except (ValueError, RecursionError):
        # A date such as 2026-13-45, a number with thousands of digits, endlessly nested brackets.
        raise NotYamlError("the file is YAML with a value that cannot be read") from None
    finally:
        loader.dispose()


def _note(root: Any, lines: dict[str, int], repeated: list[Finding]) -> None:  # noqa: ANN401 - the library's nodes
    waiting: deque[tuple[Any, str]] = deque([(root, "")])
    while waiting:
        if len(lines) > MOST_NODES:
            raise ValueError("too many parts")
        node, path = waiting.popleft()
        for key, line, child in _children(node):
            below = f"{path}.{key}" if path else key
            if below in lines:
                repeated.append(Finding(below, f"is a duplicate of the key in line {lines[below]}", line))
                continue
            lines[below] = line
            waiting.append((child, below))


def _children(node: Any) -> Iterator[tuple[str, int, Any]]:  # noqa: ANN401 - the library's nodes
    if node.id == "mapping":
        for key, value in node.value:
            yield str(key.value), key.start_mark.line + 1, value
    elif node.id == "sequence":
        for index, item in enumerate(node.value):
            yield str(index), item.start_mark.line + 1, item


_ROUNDS = 8

_PLAIN_AT_THE_TOP: Mapping[str, Any] = {
    "id": "unnamed",
    "name": "unnamed",
    "version": "0.0.0",
    "category": "connector",
    "mode": "server-side",
}
_PLAIN: Mapping[str, Any] = {
    "type": "string",
    "options": ["unusable"],
    "description": "unusable",
    "protocol": "http",
    "request": {"method": "GET", "url": "http://unusable"},
    "method": "GET",
    "url": "http://unusable",
    "done_match": {"path": "unusable", "exists": True},
    "interval_sec": 60,
    "timeout_sec": 60,
}
_PLAIN_TOOL: Mapping[str, Any] = {name: _PLAIN[name] for name in ("description", "protocol", "request")}


def repaired(document: Mapping[str, Any], error: ValidationError) -> Manifest | None:
    """Return the manifest with placeholders for invalid parts; None if too little is left."""
    if not _has_names(document):
        return None
    draft = copy.deepcopy(dict(document))
    for _ in range(_ROUNDS):
        before = copy.deepcopy(draft)
        for problem in error.errors(include_url=False, include_input=False):
            is_missing = problem["type"] == "missing"
            _repair(draft, _place(before, problem["loc"], is_missing=is_missing), is_missing=is_missing)
        try:
            return Manifest.model_validate(draft)
        except ValidationError as still:
            error = still
    return None


def _has_names(document: Mapping[str, Any]) -> bool:
    # Names that other parts refer to must be known, otherwise each reference would count as a problem.
    settings, tools = document.get("settings", {}), document.get("tools", {})
    if not isinstance(settings, Mapping) or not isinstance(tools, Mapping):
        return False
    return all(isinstance(tool.get("parameters", {}), Mapping) for tool in tools.values() if isinstance(tool, Mapping))


def _place(document: object, path: Sequence[str | int], *, is_missing: bool) -> tuple[str | int, ...]:
    there = existing_path(document, path)
    if is_missing:
        return (*there, path[len(there)])
    # A list is replaced as a whole.
    return tuple(itertools.takewhile(lambda part: isinstance(part, str), there))


def _repair(draft: dict[str, Any], path: tuple[str | int, ...], *, is_missing: bool) -> None:
    holders: list[Any] = [draft]
    for part in path[:-1]:
        holders.append(holders[-1].get(part, {}))
    if path[-1] not in holders[-1] and not is_missing:
        # An earlier repair removed it.
        return
    # Outwards, to the first part that can be replaced or removed.
    for depth in reversed(range(len(path))):
        holder, key = holders[depth], path[depth]
        plain = _plain(path[: depth + 1])
        if plain is not None and holder.get(key) != plain:
            holder[key] = copy.deepcopy(plain)
            return
        if key in holder:
            del holder[key]
            return


def _plain(path: Sequence[str | int]) -> Any:  # noqa: ANN401 - a part of a document
    match path:
        case (str(part),):
            return _PLAIN_AT_THE_TOP.get(part)
        case ("settings", str(name)) | ("tools", _, "parameters", str(name)):
            return {"type": "string"} if name.isidentifier() else None
        case ("tools", str(name)):
            return _PLAIN_TOOL if name.isidentifier() else None
        case _:
            return _PLAIN.get(str(path[-1]))


OTHER_PROTOCOLS = frozenset({"ssh", "shell", "browser"})
"""Protocols of Forge other than HTTP; tools with one of them are skipped."""


@dataclass(frozen=True, slots=True)
class Examination:
    """The manifest, if it is usable; its problems; and its warnings: valid parts that are probably unintended."""

    manifest: Manifest | None
    problems: tuple[Located, ...]
    warnings: tuple[Located, ...]


def examine(text: str) -> Examination:
    """Examine the text of a manifest."""
    try:
        document = read_yaml(text)
    except NotYamlError as error:
        return Examination(None, (Located(error.line, "", error.what),), ())
    if not isinstance(document.value, dict):
        return Examination(None, (Located(1, "", "must be a mapping with id, name, version, tools etc."),), ())
    other = {name: tool["protocol"] for name, tool in _tools(document.value) if tool["protocol"] in OTHER_PROTOCOLS}
    manifest, problems = _parsed(_without(document.value, other))
    problems.extend(document.repeated)
    warnings = [
        Finding(f"tools.{name}.protocol", f"{protocol} is not supported here, so the tool is skipped")
        for name, protocol in other.items()
    ]
    if manifest is not None:
        problems.extend(manifest_problems(manifest))
        warnings.extend(unknown_keys(manifest))
        if not problems:
            warnings.extend(manifest_warnings(manifest))
    return Examination(
        None if problems else manifest, located(problems, document.lines), located(warnings, document.lines)
    )


def _tools(document: dict[str, Any]) -> list[tuple[Any, dict[str, Any]]]:
    tools = document.get("tools")
    found = tools.items() if isinstance(tools, dict) else ()
    return [(name, tool) for name, tool in found if isinstance(tool, dict) and isinstance(tool.get("protocol"), str)]


def _without(document: dict[str, Any], names: Collection[Any]) -> dict[str, Any]:
    if not names:
        return document
    return {**document, "tools": {name: tool for name, tool in document["tools"].items() if name not in names}}


def _parsed(document: dict[str, Any]) -> tuple[Manifest | None, list[Finding]]:
    try:
        return Manifest.model_validate(document), []
    except ValidationError as error:
        return repaired(document, error), schema_findings(document, error)
