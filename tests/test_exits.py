"""The exits of the process: who hands a text to a client, a log, a terminal, the disk or an endpoint.

Each of them gets its text from `Redactor.safe`. Where a function takes `SafeText`, mypy checks it. This module checks
that nobody goes around these functions.
"""

import ast
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path

from tp_mcp.server import outgoing

ROOT = Path(__file__).parents[1]

CALLS: Mapping[str, frozenset[str]] = {
    # Of the MCP SDK: what takes a text.
    "TextContent": frozenset({"tp_mcp.server.outgoing"}),
    "CallToolResult": frozenset({"tp_mcp.server.outgoing"}),
    "ReadResourceContents": frozenset({"tp_mcp.server.outgoing"}),
    "ElicitRequestFormParams": frozenset({"tp_mcp.server.outgoing"}),
    "elicit": frozenset({"tp_mcp.server.outgoing"}),
    "notify": frozenset({"tp_mcp.server.outgoing"}),
    "send_log_message": frozenset({"tp_mcp.server.notifications.handshake_sessions"}),
    # Of the MCP SDK: what takes ids and URIs alone, or passes on what others made.
    "send_resource_updated": frozenset({"tp_mcp.server.notifications.handshake_sessions"}),
    "ResourceUpdated": frozenset({"tp_mcp.server.notifications.listen_streams"}),
    "send_notification": frozenset(
        {"tp_mcp.server.notifications.listen_streams", "tp_mcp.server.tasks.task_notifications"}
    ),
    "InputRequiredResult": frozenset({"tp_mcp.server.elicitation"}),
    # Who may say that a text is safe: cutting and joining safe texts keeps them so.
    "SafeText": frozenset({"tp_mcp.redaction", "tp_mcp.server.rendering"}),
    # Endpoints.
    "Outgoing": frozenset({"tp_mcp.webhooks.events", "tp_mcp.storage.delivery"}),
    # The log: one handler, and the filter that is put on it when the services open.
    "RedactingFilter": frozenset({"tp_mcp.composition.open_services", "tp_mcp.connectors.runner.transfer"}),
    "basicConfig": frozenset({"tp_mcp.cli.serve"}),
    "addHandler": frozenset(),
    "StreamHandler": frozenset(),
    "FileHandler": frozenset(),
    # The terminal. Exempt are a new access token, which is shown once, the embedded TP's login, and the version.
    "echo": frozenset({"tp_mcp.cli.terminal", "tp_mcp.cli.administration", "tp_mcp.cli.serve", "tp_mcp.cli.commands"}),
    "prompt": frozenset({"tp_mcp.cli.administration"}),
    "confirm": frozenset({"tp_mcp.cli.jobs", "tp_mcp.cli.connector"}),
    "print": frozenset(
        {
            "tp_mcp.cli.jobs",
            "tp_mcp.cli.doctor",
            "tp_mcp.cli.report",
            "tp_mcp.cli.demo",
            "tp_mcp.cli.serve_http",
        }
    ),
    # The disk, apart from the store's tables.
    "write_text": frozenset(),
    "write_bytes": frozenset({"tp_mcp.cli.report"}),
}
"""Who calls what sends, shows or writes a text; elsewhere in the package nobody does."""

MENTIONS: Mapping[str, frozenset[str]] = {
    "report_progress": frozenset({"tp_mcp.server.outgoing"}),
    "stdout": frozenset({"tp_mcp.cli.report"}),
    "stderr": frozenset({"tp_mcp.cli.serve_http"}),
}
"""The same for what is handed on without being called."""

TREES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "tp_mcp").rglob("*.py"))
    if "simulator" not in path.parts
}


def called(tree: ast.AST) -> Iterator[str]:
    """Yield the last name of everything that is called."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                yield name


def mentioned(tree: ast.AST) -> Iterator[str]:
    """Yield the last name of everything that is called or handed on."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) | ast.Name(id=name):
                yield name


def test_a_text_leaves_by_a_known_exit_alone() -> None:
    around = {
        (module, name)
        for module, tree in TREES.items()
        for exits, names in ((CALLS, called(tree)), (MENTIONS, mentioned(tree)))
        for name in names
        if name in exits and module not in exits[name]
    }
    assert around == set()


def test_every_exit_that_is_named_is_one() -> None:
    missing = {
        (module, name)
        for exits in (CALLS, MENTIONS)
        for name, modules in exits.items()
        for module in modules
        if name not in set(mentioned(TREES[module]))
    }
    assert missing == set()


def test_no_exit_of_the_server_takes_a_text_that_is_not_safe() -> None:
    functions = [each for _, each in inspect.getmembers(outgoing, inspect.isfunction)]
    annotations = [each.__annotations__ for each in functions if each.__module__ == outgoing.__name__]
    annotations.append(outgoing.SendProgress.__call__.__annotations__)
    kinds = [kind for each in annotations for name, kind in each.items() if name != "return"]
    assert "SafeText" in kinds
    assert [kind for kind in kinds if "str" in kind.split(" | ")] == []
