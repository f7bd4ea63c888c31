"""`python -m tp_mcp` is `tp-mcp`."""

from tp_mcp.cli import main

if __name__ == "__main__":
    main()
