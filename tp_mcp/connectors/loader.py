"""Loading of a connector manifest from a file.

An unusable manifest raises one `ManifestError` with all its problems, each with file, line, key and allowed values. An
unknown key is only a warning.
"""

from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from tp_mcp.connectors.examination import Examination, examine
from tp_mcp.connectors.findings import Located
from tp_mcp.connectors.manifest import Manifest
from tp_mcp.errors import ManifestError

MANIFEST_MAX_BYTES = 1_000_000
"""Limit of a manifest file, in bytes."""

PROBLEMS_SHOWN = 20
"""Limit of the problems in one error; further ones are counted."""

_BUILTIN_NAME = "tp.yaml"


@dataclass(frozen=True, slots=True)
class LoadedManifest:
    """A usable manifest, and its warnings: unknown keys and contradictions."""

    manifest: Manifest
    warnings: tuple[Located, ...]


def load_manifest(file: Traversable) -> LoadedManifest:
    """Load a manifest file; raise ManifestError if it cannot be read, or is not YAML or not a usable manifest."""
    return parse_manifest(_read(file), source=str(file))


def load_builtin_manifest() -> LoadedManifest:
    """Load the TP manifest of this package; a ManifestError means that the installation is damaged."""
    package = resources.files("tp_mcp.connectors")
    source_tree = Path(__file__).parents[2]
    return first_manifest((package / _BUILTIN_NAME, source_tree / "connectors" / _BUILTIN_NAME))


def first_manifest(candidates: tuple[Traversable, ...]) -> LoadedManifest:
    """Load the first existing file; raise ManifestError if none exists, or the first one is unusable."""
    for candidate in candidates:
        if candidate.is_file():
            return load_manifest(candidate)
    places = " or ".join(str(candidate) for candidate in candidates)
    raise ManifestError(f"The connector manifest is missing: it is not at {places}.", remedy="Reinstall tp-mcp.")


def parse_manifest(text: str, *, source: str) -> LoadedManifest:
    """Parse the text of a manifest; raise ManifestError if it is not YAML or not a usable manifest."""
    examination = examine(text)
    if examination.manifest is None:
        raise _error(source, [problem.at(source) for problem in examination.problems])
    return LoadedManifest(examination.manifest, examination.warnings)


def examine_file(path: Path) -> Examination:
    """Examine a manifest file, usable or not; raise ManifestError if it cannot be read."""
    return examine(_read(path))


def _read(file: Traversable) -> str:
    source = str(file)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ManifestError(
            f"The connector manifest {source} cannot be read: {error.strerror or type(error).__name__}.",
            remedy="Check the path and its permissions.",
        ) from None
    if len(data) > MANIFEST_MAX_BYTES:
        raise _error(source, [f"the file has {len(data):,} bytes; the limit is {MANIFEST_MAX_BYTES:,}"])
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _error(source, [f"the file must be UTF-8, and byte {error.start} is not"]) from None


def _error(source: str, problems: list[str]) -> ManifestError:
    lines = [f"- {problem}" for problem in problems[:PROBLEMS_SHOWN]]
    if len(problems) > PROBLEMS_SHOWN:
        lines.append(f"- and {len(problems) - PROBLEMS_SHOWN} more; `tp-mcp connector check` shows all")
    return ManifestError(
        f"The connector manifest {source} cannot be used:\n" + "\n".join(lines) + "\n",
        remedy="Correct these keys.",
    )
