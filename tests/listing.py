"""The generated listing of the tools: `python -m tests.listing` writes it, and a test checks it."""

from tp_mcp.server.listing import LISTING_FILE, listing_text
from tp_mcp.server.toolset import DEFAULT_TOOLS, TOOLSETS

if __name__ == "__main__":
    LISTING_FILE.write_text(listing_text(DEFAULT_TOOLS, TOOLSETS), encoding="utf-8")
