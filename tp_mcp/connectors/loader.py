"""Reading a connector manifest from a file.

A manifest that cannot be used raises one `ManifestError` that lists all its problems, each with its key path and what
is allowed. A key that is not known is a warning.
"""

from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tp_mcp.connectors.check import manifest_problems, manifest_warnings
from tp_mcp.connectors.manifest import Manifest, unknown_keys
from tp_mcp.errors import ManifestError

MANIFEST_MAX_BYTES = 1_000_000
"""Largest manifest file that is read."""

PROBLEMS_SHOWN = 20
"""How many problems one error lists; further ones are counted."""

_BUILTIN_NAME = "tp.yaml"

_WHAT_IS_ALLOWED = {
    "missing": "is required",
    "model_type": "must be a mapping of keys and values",
    "mapping_type": "must be a mapping of keys and values",
    "dict_type": "must be a mapping of keys and values",
    "string_type": "must be a text (put it in quotes if it looks like a number or a date)",
}


@dataclass(frozen=True, slots=True)
class LoadedManifest:
    """A manifest that can be used, and what is probably not meant in it.

    Attributes:
        manifest: the manifest.
        warnings: `<key path>: <what>`, for unknown keys and for numbers that contradict each other.

    """

    manifest: Manifest
    warnings: tuple[str, ...]


def load_manifest(path: Path) -> LoadedManifest:
    """Read a manifest file.

    Raises:
        ManifestError: the file cannot be read, is not YAML, or is not a usable manifest.

    """
    return _load(path, str(path))


def load_builtin_manifest() -> LoadedManifest:
    """Read the manifest of TP that belongs to this server.

    Raises:
        ManifestError: it is missing or not usable, which means that the installation is damaged.

    """
    package = resources.files("tp_mcp.connectors")
    source_tree = Path(__file__).parents[2]
    return first_manifest((package / _BUILTIN_NAME, source_tree / "connectors" / _BUILTIN_NAME))


def first_manifest(candidates: tuple[Traversable, ...]) -> LoadedManifest:
    """Read the first of these files that exists.

    Raises:
        ManifestError: none exists, or the first that does is not usable.

    """
    for candidate in candidates:
        if candidate.is_file():
            return _load(candidate, str(candidate))
    places = " or ".join(str(candidate) for candidate in candidates)
    raise ManifestError(f"The connector manifest is missing: it is not at {places}.", remedy="Install tp-mcp again.")


def parse_manifest(text: str, *, source: str) -> LoadedManifest:
    """Check the text of a manifest.

    Args:
        text: YAML.
        source: the name that errors give it.

    Raises:
        ManifestError: it is not YAML or not a usable manifest.

    """
    document = _parse_yaml(text, source)
    if not isinstance(document, dict):
        raise _error(source, ["the file must be a mapping with id, name, version, tools and so on"])
    try:
        manifest = Manifest.model_validate(document)
    except ValidationError as error:
        raise _error(source, [_in_our_words(dict(problem)) for problem in error.errors(include_url=False)]) from None
    problems = list(manifest_problems(manifest))
    if problems:
        raise _error(source, problems)
    unknown = (f"{path}: is not a key of the format, and is ignored" for path in unknown_keys(manifest))
    return LoadedManifest(manifest=manifest, warnings=(*unknown, *manifest_warnings(manifest)))


def _load(file: Traversable, source: str) -> LoadedManifest:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ManifestError(
            f"The connector manifest {source} cannot be read: {error.strerror or type(error).__name__}.",
            remedy="Check the path and its permissions.",
        ) from None
    if len(data) > MANIFEST_MAX_BYTES:
        raise _error(source, [f"the file has {len(data):,} bytes, and {MANIFEST_MAX_BYTES:,} are allowed"])
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _error(source, [f"the file must be UTF-8, and byte {error.start} is not"]) from None
    return parse_manifest(text, source=source)


def _parse_yaml(text: str, source: str) -> Any:  # noqa: ANN401 - whatever the YAML holds
    # Imported here: parsing YAML is needed long after the server has given its first answer.
    import yaml  # noqa: PLC0415 - start-up time

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        # Both are safe loaders: they build plain data and nothing else.
        return yaml.load(text, Loader=loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        what = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be parsed"
        raise _error(source, [f"the file is not YAML{where}: {what}"]) from None
    except (ValueError, RecursionError):
        # A date such as 2026-13-45, a number of thousands of digits, brackets nested without end.
        raise _error(source, ["the file is YAML with a value that cannot be read"]) from None


def _in_our_words(problem: dict[str, Any]) -> str:
    # A value is never shown: a setting's default may be a secret.
    path = ".".join(str(part) for part in problem["loc"] if part != "[key]")
    kind = problem["type"]
    if kind == "string_pattern_mismatch":
        what = f"must match {problem['ctx']['pattern']}"
    elif kind in _WHAT_IS_ALLOWED:
        what = _WHAT_IS_ALLOWED[kind]
    else:
        what = str(problem["msg"])
        what = (what[0].lower() + what[1:]).replace("input should", "must", 1)
    return f"{path}: {what}"


def _error(source: str, problems: list[str]) -> ManifestError:
    lines = [f"- {problem}" for problem in problems[:PROBLEMS_SHOWN]]
    if len(problems) > PROBLEMS_SHOWN:
        lines.append(f"- and {len(problems) - PROBLEMS_SHOWN} more")
    return ManifestError(
        f"The connector manifest {source} cannot be used:\n" + "\n".join(lines) + "\n",
        remedy="Correct the keys that are named.",
    )
