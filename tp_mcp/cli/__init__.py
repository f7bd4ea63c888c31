"""The command line, and the composition root: the only part that reads the environment and joins the layers."""

import gc
import sys


def main() -> None:
    """Run `tp-mcp`."""
    # Importing makes many objects that live to the end; collecting between them costs time and frees nothing.
    gc.disable()
    if sys.argv[1:2] == ["serve"]:
        from tp_mcp.cli.serve import serve as run
        from tp_mcp.composition.serve_options import parse_serve_options

        options = parse_serve_options(sys.argv[2:])
        _keep_what_was_imported()
        run(options)
        return
    from tp_mcp.cli.commands import app

    _keep_what_was_imported()
    app()


def _keep_what_was_imported() -> None:
    gc.enable()
    gc.freeze()
