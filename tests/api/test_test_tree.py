"""TP's test tree becomes paths and pytest ids."""

from typing import Any

import pytest

from tp_mcp.api import test_tree
from tp_mcp.api.guard import guard_test_ids
from tp_mcp.api.test_tree import parse_tree

TREE: dict[str, Any] = {"children": [
    {"identifier": "/Tests_CLI", "name": "Tests_CLI", "children": [
        {"identifier": "/Tests_CLI/test_cli.py", "name": "test_cli.py", "children": [
            {"identifier": "/Tests_CLI/test_cli.py::TestLogin::test_ssh", "name": "TestLogin::test_ssh"},
            {"identifier": "x", "name": "test_show[a b]"},
            {"identifier": "y", "name": "TestNested", "children": [{"name": "test_in"}]},
        ]},
        {"identifier": "/Tests_CLI/test_empty.py", "name": "test_empty.py"},
    ]},
    {"identifier": "/test_top.py", "children": [{"identifier": "/test_top.py::test_a"}]},
]}  # fmt: skip


def test_ids_and_paths_follow_the_names() -> None:
    tree = parse_tree(TREE)
    assert tree is not None
    assert tree.ids == (
        "Tests_CLI/test_cli.py::TestLogin::test_ssh",
        "Tests_CLI/test_cli.py::test_show[a b]",
        "Tests_CLI/test_cli.py::TestNested::test_in",
        "test_top.py::test_a",
    )
    assert tree.paths() == ("Tests_CLI", "Tests_CLI/test_cli.py", "Tests_CLI/test_empty.py", "test_top.py")
    assert tree.left_out == 0


def test_what_the_tree_names_passes_the_guard() -> None:
    tree = parse_tree(TREE)
    assert tree is not None
    assert len(guard_test_ids(tree.ids + tree.paths())) == 8


def test_malformed_nodes_are_counted_and_never_lose_the_others() -> None:
    tree = parse_tree([None, 7, {}, {"name": 7}, {"name": "a.py", "children": [{"name": "test_a"}, {"identifier": 3}]}])
    assert tree is not None
    assert tree.ids == ("a.py::test_a",)
    assert tree.left_out == 5


@pytest.mark.parametrize("value", [None, "text", {}, {"children": None}, 7])
def test_what_is_no_tree_is_none(value: object) -> None:
    assert parse_tree(value) is None


def test_an_empty_tree_is_a_tree() -> None:
    tree = parse_tree({"children": []})
    assert tree is not None
    assert tree.ids == ()


def test_a_tree_without_end_is_cut_where_it_gets_too_deep() -> None:
    node: dict[str, Any] = {"name": "test_a"}
    for _ in range(5_000):
        node = {"name": "d", "children": [node]}
    tree = parse_tree([node])
    assert tree is not None
    assert len(tree.directories) == test_tree.DEEPEST_NODE
    assert tree.left_out == 1


def test_a_tree_of_too_many_nodes_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_tree, "MOST_NODES", 3)
    tree = parse_tree([{"name": f"d{number}"} for number in range(5)])
    assert tree is not None
    assert tree.directories == ("d0", "d1", "d2")
    assert tree.left_out == 2
