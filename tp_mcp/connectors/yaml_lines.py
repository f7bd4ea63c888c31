"""Parsing of YAML with the line of every key."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tp_mcp.connectors.findings import Finding

MOST_NODES = 200_000
"""Limit of visited nodes: a few aliases can expand to billions."""


class NotYamlError(Exception):
    """The text is not readable YAML; `line` is that of the error, from 1."""

    def __init__(self, what: str, line: int = 1) -> None:
        super().__init__(what)
        self.line = line
        self.what = what


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """A document as plain data, with the line of each key and item by dotted path, and its duplicate keys."""

    value: Any
    lines: dict[str, int]
    repeated: tuple[Finding, ...]


def read_yaml(text: str) -> YamlDocument:
    """Parse a document with its lines; raise NotYamlError if it is not YAML, or has an unreadable value."""
    # Imported here to keep it out of the server's start.
    import yaml  # noqa: PLC0415 - start-up time

    # Both are safe loaders, which only build plain data.
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    lines: dict[str, int] = {}
    repeated: list[Finding] = []
    try:
        root = loader.get_single_node()
        if root is None:
            return YamlDocument(None, lines, ())
        _note(root, lines, repeated)
        return YamlDocument(loader.construct_document(root), lines, tuple(repeated))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be parsed"
        where = f" (column {mark.column + 1})" if mark is not None else ""
        raise NotYamlError(f"the file is not YAML here{where}: {what}", 1 if mark is None else mark.line + 1) from None
    except (ValueError, RecursionError):
        # A date such as 2026-13-45, a number with thousands of digits, endlessly nested brackets.
        raise NotYamlError("the file is YAML with a value that cannot be read") from None
    finally:
        loader.dispose()


def _note(root: Any, lines: dict[str, int], repeated: list[Finding]) -> None:  # noqa: ANN401 - the library's nodes
    waiting: deque[tuple[Any, str]] = deque([(root, "")])
    while waiting:
        if len(lines) > MOST_NODES:
            raise ValueError("too many parts")
        node, path = waiting.popleft()
        for key, line, child in _children(node):
            below = f"{path}.{key}" if path else key
            if below in lines:
                repeated.append(Finding(below, f"is a duplicate of the key in line {lines[below]}", line))
                continue
            lines[below] = line
            waiting.append((child, below))


def _children(node: Any) -> Iterator[tuple[str, int, Any]]:  # noqa: ANN401 - the library's nodes
    if node.id == "mapping":
        for key, value in node.value:
            yield str(key.value), key.start_mark.line + 1, value
    elif node.id == "sequence":
        for index, item in enumerate(node.value):
            yield str(index), item.start_mark.line + 1, item
