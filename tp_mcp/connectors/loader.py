"""Reading a connector manifest from a file.

A manifest that cannot be used raises one `ManifestError` that lists all its problems, each with file, line, key and
what is allowed. A key that is not known is a warning.
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
"""Largest manifest file that is read."""

PROBLEMS_SHOWN = 20
"""How many problems one error lists; further ones are counted."""

_BUILTIN_NAME = "tp.yaml"


@dataclass(frozen=True, slots=True)
class LoadedManifest:
    """A manifest that can be used, and what is probably not meant in it.

    Attributes:
        manifest: the manifest.
        warnings: with their lines: unknown keys, and what contradicts itself.

    """

    manifest: Manifest
    warnings: tuple[Located, ...]


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
    return _loaded(examine(text), source)


def examine_file(path: Path) -> Examination:
    """Return everything there is to say about a manifest file, usable or not.

    Raises:
        ManifestError: the file cannot be read.

    """
    return examine(_read(path, str(path)))


def _load(file: Traversable, source: str) -> LoadedManifest:
    return _loaded(examine(_read(file, source)), source)


def _loaded(examination: Examination, source: str) -> LoadedManifest:
    if examination.manifest is None:
        raise _error(source, [problem.at(source) for problem in examination.problems])
    return LoadedManifest(examination.manifest, examination.warnings)


def _read(file: Traversable, source: str) -> str:
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
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _error(source, [f"the file must be UTF-8, and byte {error.start} is not"]) from None


def _error(source: str, problems: list[str]) -> ManifestError:
    lines = [f"- {problem}" for problem in problems[:PROBLEMS_SHOWN]]
    if len(problems) > PROBLEMS_SHOWN:
        lines.append(f"- and {len(problems) - PROBLEMS_SHOWN} more; `tp-mcp connector check` shows all")
    return ManifestError(
        f"The connector manifest {source} cannot be used:\n" + "\n".join(lines) + "\n",
        remedy="Correct the keys that are named.",
    )
