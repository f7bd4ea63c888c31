"""Figures on the structure of the package: `python -m tests.house`, with `--list` for the modules behind them.

An import inside a function or under `TYPE_CHECKING` counts like any other.
"""

import argparse
import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent
PACKAGE = "tp_mcp"
SAMPLE_SUITE = "simulator/suite"
"""The tests that the embedded TP runs are data, not modules of the package."""

MAX_ONE_IMPORTER = 60
MAX_REPEATED_NAMES = 10
MAX_LINES = 35_000


@dataclass(frozen=True)
class House:
    """The package as its imports show it.

    Attributes:
        lines: lines of each module, by dotted name.
        imports: the modules of the package that each module imports.
    """

    lines: Mapping[str, int]
    imports: Mapping[str, frozenset[str]]

    @property
    def rooms(self) -> Mapping[str, int]:
        """Return how many modules each folder has, `__init__` left out."""
        return Counter(_folder(name) for name in self.modules)

    @property
    def modules(self) -> tuple[str, ...]:
        """Return all modules, `__init__` left out."""
        return tuple(name for name in self.lines if not name.endswith(".__init__"))

    @property
    def one_importer(self) -> Mapping[str, str]:
        """Return the modules that exactly one other module imports, each with that module."""
        importers = defaultdict(set)
        for name, imported in self.imports.items():
            for each in imported:
                importers[each].add(name)
        return {name: next(iter(importers[name])) for name in self.modules if len(importers[name]) == 1}

    @property
    def repeated_names(self) -> Mapping[str, tuple[str, ...]]:
        """Return the last names that several modules share, each with its folders."""
        folders = defaultdict(list)
        for name in self.modules:
            folders[name.rpartition(".")[2]].append(_folder(name))
        return {name: tuple(places) for name, places in sorted(folders.items()) if len(places) > 1}

    @property
    def circles(self) -> tuple[tuple[str, ...], ...]:
        """Return the groups of modules that import each other in a circle."""
        return tuple(sorted(tuple(sorted(group)) for group in _strongly_connected(self.imports) if len(group) > 1))


def read_house(root: Path = ROOT) -> House:
    """Read the package below `root`."""
    paths = {
        _dotted(path.relative_to(root)): path
        for path in sorted((root / PACKAGE).rglob("*.py"))
        if SAMPLE_SUITE not in path.as_posix()
    }
    trees = {name: ast.parse(path.read_text()) for name, path in paths.items()}
    return House(
        lines={name: len(path.read_text().splitlines()) for name, path in paths.items()},
        imports={name: frozenset(_imported(name, tree, paths)) for name, tree in trees.items()},
    )


def _dotted(path: Path) -> str:
    return ".".join(path.with_suffix("").parts)


def _folder(name: str) -> str:
    return name.rpartition(".")[0].replace(".", "/")


def _imported(name: str, tree: ast.Module, known: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            wanted = [f"{node.module}.{alias.name}" for alias in node.names]
            wanted = [each if each in known or f"{each}.__init__" in known else node.module for each in wanted]
        else:
            continue
        for each in wanted:
            module = each if each in known else f"{each}.__init__"
            if module in known and module != name:
                yield module


def _strongly_connected(graph: Mapping[str, frozenset[str]]) -> list[list[str]]:
    """Return the strongly connected groups, by Tarjan's algorithm."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for each in graph[name]:
            if each not in index:
                visit(each)
                low[name] = min(low[name], low[each])
            elif each in stack:
                low[name] = min(low[name], index[each])
        if low[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            groups.append(group)

    for name in graph:
        if name not in index:
            visit(name)
    return groups


def main() -> int:
    """Print the figures; return 1 where one of them is over its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true", help="name the modules behind each figure")
    listed = parser.parse_args().list
    house = read_house()
    sizes = [house.lines[name] for name in house.modules]
    single, repeated, circles = house.one_importer, house.repeated_names, house.circles
    total = sum(house.lines.values())
    print(f"lines                        {total:>6}  (at most {MAX_LINES})")
    print(f"modules                      {len(sizes):>6}")
    print(f"median lines of a module     {median(sizes):>6.0f}")
    print(f"modules with one importer    {len(single):>6}  (at most {MAX_ONE_IMPORTER})")
    print(f"module names that recur      {len(repeated):>6}  (at most {MAX_REPEATED_NAMES})")
    print(f"import circles               {len(circles):>6}  (none)")
    print("modules in each folder       " + ", ".join(f"{room} {count}" for room, count in sorted(house.rooms.items())))
    if listed:
        print("\none importer:", *(f"{name} ({house.lines[name]}) <- {by}" for name, by in single.items()), sep="\n  ")
        print("\nnames that recur:", *(f"{name}: {', '.join(at)}" for name, at in repeated.items()), sep="\n  ")
        print("\ncircles:", *(" <-> ".join(circle) for circle in circles), sep="\n  ")
    over = total > MAX_LINES or len(single) > MAX_ONE_IMPORTER or len(repeated) > MAX_REPEATED_NAMES or len(circles) > 0
    return int(over)


if __name__ == "__main__":
    sys.exit(main())
