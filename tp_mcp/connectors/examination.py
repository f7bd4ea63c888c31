"""Everything there is to say about the text of a manifest, usable or not."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from tp_mcp.connectors.check import manifest_problems, manifest_warnings
from tp_mcp.connectors.findings import Finding, Located, located
from tp_mcp.connectors.manifest import Manifest, unknown_keys
from tp_mcp.connectors.repair import repaired
from tp_mcp.connectors.schema import schema_findings
from tp_mcp.connectors.yaml_lines import NotYamlError, read_yaml

OTHER_PROTOCOLS = frozenset({"ssh", "shell", "browser"})
"""Protocols of Forge's that are not HTTP: a tool of one of them is left out."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What a manifest's text is.

    Attributes:
        manifest: the manifest; None where it cannot be used.
        problems: all that makes it unusable.
        warnings: what is allowed and is probably not meant, unknown keys among it.

    """

    manifest: Manifest | None
    problems: tuple[Located, ...]
    warnings: tuple[Located, ...]


def examine(text: str) -> Examination:
    """Return everything there is to say about the text of a manifest."""
    try:
        document = read_yaml(text)
    except NotYamlError as error:
        return Examination(None, (Located(error.line, "", error.what),), ())
    if not isinstance(document.value, dict):
        return Examination(None, (Located(1, "", "must be a mapping with id, name, version, tools and so on"),), ())
    other = {name: tool["protocol"] for name, tool in _tools(document.value) if tool["protocol"] in OTHER_PROTOCOLS}
    manifest, problems = _parsed(_without(document.value, other))
    problems.extend(document.repeated)
    warnings = [
        Finding(f"tools.{name}.protocol", f"{protocol} is not run here, so the tool is left out")
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
