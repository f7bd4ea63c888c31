"""Layers and fences, checked from the imports of every module.

Imports only point down: a module may use what is in its own layer's package or in a lower layer. Some libraries are
fenced: they are used in one place, so that the rest does not depend on them.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.house import MAX_REPEATED_NAMES, read_house
from tests.support.table import table

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tp_mcp"

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
    "storage": 4,
    "composition": 6,
    "cli": 7,
}
"""The layer of each part of the package; parts of one layer may not use each other, except where it is listed."""

SAME_LAYER = {("settings", "errors"), ("triage", "results"), ("history", "jobs"), ("jobs", "access")}

FENCES = {
    "apscheduler": {"tp_mcp.watch.polling.timer"},
    "sqlite3": {"tp_mcp.storage"},
    "httpx2": {
        "tp_mcp.api",
        "tp_mcp.connectors.runner",
        "tp_mcp.webhooks.courier",
        "tp_mcp.server.auth",
        "tp_mcp.cli",
        "tp_mcp.composition",
    },
    "mcp": {"tp_mcp.server", "tp_mcp.tools", "tp_mcp.cli.demo", "tp_mcp.cli.tools"},
    "mcp_types": set(),  # a distribution of its own, which is not named as a dependency; `mcp.types` is the same
    "typer": {"tp_mcp.cli"},
    "rich": {"tp_mcp.cli"},
    "starlette": {"tp_mcp.simulator", "tp_mcp.server.auth", "tp_mcp.server.http", "tp_mcp.server.identity"},
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

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "suite" not in path.relative_to(PACKAGE).parts)


@cache
def tree_of(path: Path) -> ast.Module:
    """Return a parsed module."""
    return ast.parse(path.read_text(encoding="utf-8"))


def module_name(path: Path) -> str:
    """Return the dotted name of a module's file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Yield every module that a file imports, wherever in the file it does."""
    for node in ast.walk(tree_of(path)):
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


@table("path", MODULES)
def test_imports_only_point_down(path: Path) -> None:
    here = part_of(module_name(path))
    for imported in imports(path):
        there = part_of(imported)
        if here in {None, "simulator"} or there is None or there == here:
            continue
        if there == "simulator":
            assert here in {"cli", "composition"}, f"{module_name(path)} uses the simulator"
            continue
        allowed = LAYERS[there] < LAYERS[str(here)] or (here, there) in SAME_LAYER
        assert allowed, f"{module_name(path)} imports {imported}, which is not below it"


@table("path", MODULES)
def test_the_simulator_imports_nothing_of_the_rest(path: Path) -> None:
    if part_of(module_name(path)) == "simulator":
        ours = {name for name in imports(path) if name.split(".")[0] == "tp_mcp"}
        assert {name for name in ours if not name.startswith("tp_mcp.simulator")} == set()


@table("path", MODULES)
def test_a_fenced_library_is_used_only_behind_its_fence(path: Path) -> None:
    here = module_name(path)
    for imported in imports(path):
        fence = FENCES.get(imported.split(".")[0])
        if fence is not None:
            assert any(here == inside or here.startswith(f"{inside}.") for inside in fence), f"{here}: {imported}"


@table("path", MODULES)
def test_only_storage_knows_its_engines(path: Path) -> None:
    """Others import its opener alone, and name no engine."""
    if part_of(module_name(path)) == "storage":
        return
    used = {name for name in imports(path) if name.startswith("tp_mcp.storage.")}
    assert {name for name in used if not name.startswith("tp_mcp.storage.opening")} == set()
    assert [name for name in _identifiers(path) if "sqlite" in name.lower()] == []


@table("path", sorted((PACKAGE / "tools").glob("*.py")))
def test_the_families_of_tools_never_import_each_other(path: Path) -> None:
    """What they share is in the folders below `tools`."""
    families = {f"tp_mcp.tools.{each.stem}" for each in (PACKAGE / "tools").glob("*.py")} - {module_name(path)}
    assert not families & set(imports(path))


@table("path", MODULES)
def test_only_the_command_line_reads_the_environment(path: Path) -> None:
    if part_of(module_name(path)) not in {"composition", "cli", "simulator"}:
        assert not {"os.environ", "os.getenv"} & set(_attributes(path)), f"{module_name(path)} reads the environment"


def _identifiers(path: Path) -> Iterator[str]:
    yield from imports(path)
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert read_house().circles == ()


def test_few_modules_share_a_name() -> None:
    assert len(repeated := read_house().repeated_names) <= MAX_REPEATED_NAMES, repeated


def test_a_circle_and_a_repeated_name_are_found(tmp_path: Path) -> None:
    for name, text in {
        "one/a": "def f():\n    from tp_mcp.two import b",
        "two/b": "import tp_mcp.two.a",
        "two/a": "from tp_mcp.one.a import f",
        "c": "from tp_mcp.one import a",
    }.items():
        path = tmp_path / "tp_mcp" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    house = read_house(tmp_path)
    assert house.circles == (("tp_mcp.one.a", "tp_mcp.two.a", "tp_mcp.two.b"),)
    assert house.repeated_names == {"a": ("tp_mcp/one", "tp_mcp/two")}


def _attributes(path: Path) -> Iterator[str]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"
