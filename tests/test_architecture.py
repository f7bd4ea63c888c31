"""Layers and fences, checked from the imports of every module.

Imports only point down: a module may use what is in its own layer's package or in a lower layer. Some libraries are
fenced: they are used in one place, so that the rest does not depend on them.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tp_mcp"
MAX_LINES = 400

LAYERS = {
    "errors": 0,
    "clock": 0,
    "settings": 0,
    "redaction": 0,
    "api": 1,
    "connectors": 1,
    "triage": 1,
    "results": 1,
    "watch": 2,
    "jobs": 3,
    "access": 3,
    "webhooks": 3,
    "history": 3,
    "tools": 4,
    "server": 5,
    "cli": 6,
}
"""The layer of each part of the package; parts of one layer may not use each other, except where it is listed."""

SAME_LAYER = {("settings", "errors"), ("triage", "results"), ("history", "jobs")}

FENCES = {
    "apscheduler": {"tp_mcp.watch.timer"},
    "sqlite3": {
        "tp_mcp.watch.sqlite",
        "tp_mcp.access.sqlite",
        "tp_mcp.access.sqlite_tokens",
        "tp_mcp.access.sqlite_credentials",
        "tp_mcp.history.sqlite",
    },
    "httpx2": {
        "tp_mcp.api",
        "tp_mcp.connectors.runner",
        "tp_mcp.webhooks.sending",
        "tp_mcp.server.auth",
        "tp_mcp.cli",
    },
    "mcp": {"tp_mcp.server", "tp_mcp.tools", "tp_mcp.cli.demo", "tp_mcp.cli.tools"},
    "mcp_types": set(),  # a distribution of its own, which is not named as a dependency; `mcp.types` is the same
    "typer": {"tp_mcp.cli"},
    "rich": {"tp_mcp.cli"},
    "starlette": {"tp_mcp.simulator", "tp_mcp.server.auth", "tp_mcp.server.http", "tp_mcp.server.conversations"},
    "uvicorn": {"tp_mcp.simulator", "tp_mcp.server.http"},
    "jwt": {"tp_mcp.simulator", "tp_mcp.server.auth"},
    "cryptography": {"tp_mcp.access.credentials"},
    "jmespath": {"tp_mcp.connectors"},
    "yaml": {"tp_mcp.connectors"},
    "re2": {"tp_mcp.connectors"},
    "msgspec": {"tp_mcp.triage"},
    "stamina": {"tp_mcp.api"},
}
"""Who may import a library."""

TOOL_HELPERS = {
    "asking",
    "auditing",
    "beginning",
    "catalogue",
    "chaining",
    "failures",
    "neighbours",
    "paging",
    "permission",
    "principals",
    "repeats",
    "run_reports",
    "sending",
    "services",
    "telling",
    "told",
    "toolkit",
    "triaging",
    "waiting",
    "wording",
}
"""What the tools' modules share; every other module in `tools` is a resource, and resources never import each other."""

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "suite" not in path.relative_to(PACKAGE).parts)


def module_name(path: Path) -> str:
    """Return the dotted name of a module's file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Yield every module that a file imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(module: str) -> str | None:
    """Return the part of the package that a module belongs to; None for what is not ours, or the package itself."""
    names = module.split(".")
    return names[1] if names[0] == "tp_mcp" and len(names) > 1 and names[1] in {*LAYERS, "simulator"} else None


def test_every_part_of_the_package_has_its_layer() -> None:
    parts = {
        path.stem
        for path in PACKAGE.iterdir()
        if path.suffix == ".py" or (path.is_dir() and path.stem != "__pycache__")
    }
    assert parts - {"__init__", "__main__"} == {*LAYERS, "simulator"}


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_only_point_down(path: Path) -> None:
    here = part_of(module_name(path))
    for imported in imports(path):
        there = part_of(imported)
        if here in {None, "simulator"} or there is None or there == here:
            continue
        if there == "simulator":
            assert here == "cli", f"{module_name(path)} uses the simulator"
            continue
        allowed = LAYERS[there] < LAYERS[str(here)] or (here, there) in SAME_LAYER
        assert allowed, f"{module_name(path)} imports {imported}, which is not below it"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_the_simulator_imports_nothing_of_the_rest(path: Path) -> None:
    if part_of(module_name(path)) == "simulator":
        ours = {name for name in imports(path) if name.split(".")[0] == "tp_mcp"}
        assert {name for name in ours if not name.startswith("tp_mcp.simulator")} == set()


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_a_fenced_library_is_used_only_behind_its_fence(path: Path) -> None:
    here = module_name(path)
    for imported in imports(path):
        fence = FENCES.get(imported.split(".")[0])
        if fence is not None:
            assert any(here == inside or here.startswith(f"{inside}.") for inside in fence), f"{here}: {imported}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "tools").glob("*.py")), ids=module_name)
def test_the_modules_of_resources_never_import_each_other(path: Path) -> None:
    if path.stem in TOOL_HELPERS or path.stem == "__init__":
        return
    used = {name.split(".")[2] for name in imports(path) if name.startswith("tp_mcp.tools.") and name.count(".") >= 2}
    assert used <= TOOL_HELPERS


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_only_the_command_line_reads_the_environment(path: Path) -> None:
    if part_of(module_name(path)) not in {"cli", "simulator"}:
        assert not {"os.environ", "os.getenv"} & set(_attributes(path)), f"{module_name(path)} reads the environment"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_a_file_stays_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def _attributes(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"
