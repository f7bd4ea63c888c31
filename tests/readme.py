"""The generated parts of the README: `python -m tests.readme` writes them, and a test checks the tool table."""

import os
import subprocess
import sys
from pathlib import Path

from tp_mcp.cli.tools import tool_table

README = Path(__file__).parents[1] / "README.md"
TABLE = ("<!-- tools: written by `make readme` -->\n", "\n<!-- /tools -->")
DEMO = ("what it reads</summary>\n\n```\n", "\n```\n\n</details>")
DEMO_COLUMNS = "110"


def between(text: str, marks: tuple[str, str], new: str) -> str:
    """Return a text with what stands between two marks replaced."""
    head, begin, rest = text.partition(marks[0])
    _, end, tail = rest.partition(marks[1])
    return f"{head}{begin}{new}{end}{tail}"


def with_tool_table(text: str) -> str:
    """Return the README's text with the current tool table in its place."""
    return between(text, TABLE, tool_table())


def with_demo(text: str) -> str:
    """Return the README's text with what the demo prints now in its place; takes half a minute."""
    demo = subprocess.run(
        [sys.executable, "-m", "tp_mcp", "demo"],
        env={**os.environ, "COLUMNS": DEMO_COLUMNS},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return between(text, DEMO, demo.stdout.rstrip())


if __name__ == "__main__":
    README.write_text(with_demo(with_tool_table(README.read_text(encoding="utf-8"))), encoding="utf-8")
