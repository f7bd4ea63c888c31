"""The command line, and the composition root: the only part that reads the environment and joins the layers."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

WEB_SERVER = "uvicorn"


def main() -> None:
    """Run `tp-mcp`."""
    # Importing makes many objects that live to the end; collecting between them costs time and frees nothing.
    gc.disable()
    if sys.argv[1:2] == ["serve"]:
        from tp_mcp.composition.serve_options import parse_serve_options

        options = parse_serve_options(sys.argv[2:])
        with _not_importing(WEB_SERVER) if options.http is None else nullcontext():
            from tp_mcp.cli.serve import serve as run
        _keep_what_was_imported()
        run(options)
        return
    from tp_mcp.cli.commands import app

    _keep_what_was_imported()
    app()


@contextmanager
def _not_importing(name: str) -> Iterator[None]:
    """Make imports of an optional package fail for a while.

    Over standard input and output nothing needs the web server. A library behind the SDK imports it all the same, where
    it is installed, which takes 6 % of the time to the first answer.
    """
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # as the import system marks what cannot be imported
    try:
        yield
    finally:
        del sys.modules[name]


def _keep_what_was_imported() -> None:
    gc.enable()
    gc.freeze()
