"""Everything there is to say about the text of a manifest, usable or not."""

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from tp_mcp.connectors.check import manifest_problems, manifest_warnings
from tp_mcp.connectors.findings import Finding, Located, located
from tp_mcp.connectors.manifest import Manifest, unknown_keys
from tp_mcp.connectors.repair import repaired
from tp_mcp.connectors.schema import schema_findings
from tp_mcp.connectors.yaml_lines import NotYamlError, read_yaml


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
    manifest, problems = _parsed(document.value)
    problems.extend(document.repeated)
    warnings: list[Finding] = []
    if manifest is not None:
        problems.extend(manifest_problems(manifest))
        warnings.extend(unknown_keys(manifest))
        if not problems:
            warnings.extend(manifest_warnings(manifest))
    return Examination(
        None if problems else manifest, located(problems, document.lines), located(warnings, document.lines)
    )


def _parsed(document: dict[str, Any]) -> tuple[Manifest | None, list[Finding]]:
    try:
        return Manifest.model_validate(document), []
    except ValidationError as error:
        return repaired(document, error), schema_findings(document, error)
