"""TP's test tree, flattened into paths and pytest ids."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

MOST_NODES = 500_000
"""Limit of the visited nodes."""

DEEPEST_NODE = 64
"""Limit of the visited levels."""


@dataclass(frozen=True, slots=True)
class TestTree:
    """The tests known to TP, in TP's order.

    Attributes:
        directories: paths of directories below the tests root.
        files: paths of test files below the tests root.
        ids: complete pytest ids, such as `dir/file.py::Class::test`.
        left_out: number of skipped nodes: malformed, too deep, or beyond `MOST_NODES`.
    """

    # Keeps pytest from collecting this class because of its name.
    __test__ = False

    directories: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    left_out: int = 0

    def paths(self) -> tuple[str, ...]:
        """Return all directories and files, relative to the tests root."""
        return self.directories + self.files


_END = object()


@dataclass(slots=True)
class _Found:
    directories: list[str]
    files: list[str]
    ids: list[str]
    left_out: int = 0
    seen: int = 0


def parse_tree(value: object) -> TestTree | None:
    """Parse the tree in `{"children": [{"identifier", "name", "children"?}]}`; return None without a tree.

    Paths consist of names, so identifiers may have any form; a node without a name uses the last part of its
    identifier. A list of nodes is also a tree.
    """
    top = value.get("children") if isinstance(value, Mapping) else value
    if not isinstance(top, list):
        return None
    found = _Found([], [], [])
    # A stack instead of recursion: TP determines the depth.
    stack: list[tuple[Iterator[object], str, int]] = [(iter(top), "", 1)]
    while stack:
        nodes, parent, depth = stack[-1]
        node = next(nodes, _END)
        if node is _END:
            stack.pop()
            continue
        found.seen += 1
        name = _name(node)
        if not isinstance(node, Mapping) or not name or depth > DEEPEST_NODE or found.seen > MOST_NODES:
            found.left_out += 1
            continue
        children = node.get("children")
        path = _place(found, parent, name, is_leaf=not isinstance(children, list))
        if isinstance(children, list):
            stack.append((iter(children), path, depth + 1))
    return TestTree(tuple(found.directories), tuple(found.files), tuple(found.ids), found.left_out)


def _name(node: object) -> str:
    if not isinstance(node, Mapping):
        return ""
    name = node.get("name")
    if isinstance(name, str) and name:
        return name
    identifier = node.get("identifier")
    return identifier.rstrip("/").rpartition("/")[2].rpartition("::")[2] if isinstance(identifier, str) else ""


def _place(found: _Found, parent: str, name: str, *, is_leaf: bool) -> str:
    in_file = ".py::" in parent or parent.endswith(".py")
    path = f"{parent}{'::' if in_file else '/'}{name}" if parent else name
    if in_file:
        if is_leaf:
            found.ids.append(path)
    elif name.endswith(".py"):
        found.files.append(path)
    else:
        found.directories.append(path)
    return path
