"""Reading YAML with the line of every key, so that what is wrong can be found again."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tp_mcp.connectors.findings import Finding

MOST_NODES = 200_000
"""Parts of a document that are looked at: a few aliases can stand for billions."""


class NotYamlError(Exception):
    """The text is not YAML that can be read.

    Attributes:
        line: where it stops being YAML, counted from 1.
        what: what is wrong.

    """

    def __init__(self, what: str, line: int = 1) -> None:
        super().__init__(what)
        self.line = line
        self.what = what


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """A document as plain data.

    Attributes:
        value: what it holds.
        lines: the line of each key and item, counted from 1, by its path joined by dots.
        repeated: keys that are given twice, of which YAML allows only one.

    """

    value: Any
    lines: dict[str, int]
    repeated: tuple[Finding, ...]


def read_yaml(text: str) -> YamlDocument:
    """Return a document as plain data, with its lines.

    Raises:
        NotYamlError: it is none, or holds what cannot be read.

    """
    # Imported here: parsing YAML is needed long after the server has given its first answer.
    import yaml  # noqa: PLC0415 - start-up time

    # Both are safe loaders: they build plain data and nothing else.
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
        # A date such as 2026-13-45, a number of thousands of digits, brackets nested without end.
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
                repeated.append(Finding(below, f"is given twice, first in line {lines[below]}", line))
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
