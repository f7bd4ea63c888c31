"""The generated parts of the documentation: `python -m tests.readme` writes them, and a test checks the tool table."""

import os
import subprocess
import sys
from pathlib import Path

from tp_mcp.cli.tools import tool_table

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
TOOLS_PAGE = ROOT / "docs" / "tools.md"
DEMO_PAGE = ROOT / "docs" / "demo.md"
SETTINGS_PAGE = ROOT / "docs" / "settings.md"
TABLE = ("<!-- tools: written by `make readme` -->\n", "\n<!-- /tools -->")
TRANSCRIPT = ("```\n", "\n```\n")
DEMO_COLUMNS = "110"


def between(text: str, marks: tuple[str, str], new: str) -> str:
    """Return a text with the part between two marks replaced."""
    head, begin, rest = text.partition(marks[0])
    _, end, tail = rest.partition(marks[1])
    return f"{head}{begin}{new}{end}{tail}"


def with_tool_table(text: str) -> str:
    """Return the tools page with the current tool table in its place."""
    return between(text, TABLE, tool_table())


def with_demo(text: str) -> str:
    """Return the demo page with the demo's current output in its place; takes half a minute."""
    demo = subprocess.run(
        [sys.executable, "-m", "tp_mcp", "demo"],
        env={**os.environ, "COLUMNS": DEMO_COLUMNS},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return between(text, TRANSCRIPT, demo.stdout.rstrip())


if __name__ == "__main__":
    TOOLS_PAGE.write_text(with_tool_table(TOOLS_PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    DEMO_PAGE.write_text(with_demo(DEMO_PAGE.read_text(encoding="utf-8")), encoding="utf-8")
