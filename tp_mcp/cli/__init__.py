"""The command line, and the composition root: the only part that reads the environment and joins the layers."""

import gc


def main() -> None:
    """Run `tp-mcp`."""
    # Importing makes many objects that live to the end; collecting between them costs time and frees nothing.
    gc.disable()
    from tp_mcp.cli.commands import app

    gc.enable()
    gc.freeze()
    app()
