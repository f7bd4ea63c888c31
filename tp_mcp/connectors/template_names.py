"""Names of settings and parameters in templates."""

from collections.abc import Iterator, Mapping

from tp_mcp.connectors.findings import Finding, nearest_words
from tp_mcp.connectors.manifest import Manifest, Setting, ToolManifest
from tp_mcp.connectors.template import template_paths


def setting_names(manifest: Manifest) -> Mapping[str, Setting]:
    """Return all settings that a template may name, including those of an instance."""
    names: dict[str, Setting] = {}
    for setting in manifest.settings.values():
        names.update(setting.fields or {})
    return {**names, **manifest.settings}


def named(value: object, root: str) -> list[str]:
    """Return the names directly below a root in the templates of a value, in order."""
    prefix = f"{root}."
    paths = template_paths(value)
    return sorted({path.removeprefix(prefix).split(".")[0] for path in paths if path.startswith(prefix)})


def name_problems(manifest: Manifest, tool: ToolManifest | None, value: object, where: str) -> Iterator[Finding]:
    """Yield the unknown settings and parameters in the templates of a value."""
    settings = setting_names(manifest)
    for name in named(value, "settings"):
        if name not in settings:
            near, all_names = nearest_words(name, settings), ", ".join(settings) or "none"
            yield Finding(where, f"there is no setting {name!r}{near}; the settings are {all_names}")
    if tool is None:
        return
    for name in named(value, "args"):
        if name not in tool.parameters:
            near, all_names = nearest_words(name, tool.parameters), ", ".join(tool.parameters) or "none"
            yield Finding(where, f"there is no parameter {name!r}{near}; the tool has {all_names}")
