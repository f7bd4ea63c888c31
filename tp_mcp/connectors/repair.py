"""Standing in for the parts of a manifest that cannot be used, so that the rest of it can still be looked at.

A person who corrects a file wants all that is wrong with it at once. What the parts must be to one another can only be
checked between parts that are well formed; so each that is not is replaced by the plainest one that keeps its names,
which are what the others refer to, or left out where nothing needs it.
"""

import copy
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from tp_mcp.connectors.manifest import Manifest
from tp_mcp.connectors.schema import existing_path

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
    """Return the manifest with what the models refused replaced; None where too little of it is left."""
    if not _has_names(document):
        return None
    draft = copy.deepcopy(dict(document))
    for _ in range(_ROUNDS):
        before = copy.deepcopy(draft)
        for problem in error.errors(include_url=False, include_input=False):
            is_missing = problem["type"] == "missing"
            _mend(draft, _place(before, problem["loc"], is_missing=is_missing), is_missing=is_missing)
        try:
            return Manifest.model_validate(draft)
        except ValidationError as still:
            error = still
    return None


def _has_names(document: Mapping[str, Any]) -> bool:
    # What the others refer to must be known, or everything that refers to it would count as wrong.
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


def _mend(draft: dict[str, Any], path: tuple[str | int, ...], *, is_missing: bool) -> None:
    holders: list[Any] = [draft]
    for part in path[:-1]:
        holders.append(holders[-1].get(part, {}))
    if path[-1] not in holders[-1] and not is_missing:
        # It went with an earlier problem.
        return
    # Outwards to the first part that can be stood in for or left out.
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
