"""The test tree that TP shows, from a list of pytest ids."""

from collections.abc import Iterable
from typing import Any


def build_tree(ids: Iterable[str]) -> dict[str, Any]:
    """Return `{"children": [{"identifier", "name", "children"?}]}`: directories, files, then leaves.

    Identifiers begin with a slash; a leaf is named `Class::test` or `test`.
    """
    root: dict[str, Any] = {"children": []}
    nodes: dict[str, dict[str, Any]] = {"": root}
    for one in ids:
        path, _, leaf = one.partition("::")
        parent = root
        identifier = ""
        for part in path.split("/"):
            identifier = f"{identifier}/{part}"
            if identifier not in nodes:
                nodes[identifier] = {"identifier": identifier, "name": part, "children": []}
                parent["children"].append(nodes[identifier])
            parent = nodes[identifier]
        parent["children"].append({"identifier": f"{identifier}::{leaf}", "name": leaf})
    return root
