"""The generated part of the README: `python -m tests.readme` writes it, a test checks it."""

from pathlib import Path

from tp_mcp.cli.tools import tool_table

README = Path(__file__).parents[1] / "README.md"
BEGIN = "<!-- tools: written by `make readme` -->"
END = "<!-- /tools -->"


def with_tool_table(text: str) -> str:
    """Return the README's text with the current tool table in its place."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{tool_table()}\n{END}{tail}"


if __name__ == "__main__":
    README.write_text(with_tool_table(README.read_text(encoding="utf-8")), encoding="utf-8")
