"""The command line. `serve` starts with few imports; the other commands load what they need."""

import gc
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext

NOT_OVER_STDIO = ("uvicorn", "rich")
"""Optional packages that the SDK, or a library behind it, imports where they are installed."""


def main() -> None:
    """Run `tp-mcp`."""
    # Importing makes many objects that live to the end; collecting between them costs time and frees nothing.
    gc.disable()
    if sys.argv[1:2] == ["serve"]:
        from tp_mcp.composition.serve_options import parse_serve_options

        options = parse_serve_options(sys.argv[2:])
        with _not_importing(NOT_OVER_STDIO) if options.http is None else nullcontext():
            from tp_mcp.cli.serve import prepare

            serve = prepare(options)
        _keep_what_was_imported()
        serve()
        return
    from tp_mcp.cli.commands import app

    _keep_what_was_imported()
    app()


@contextmanager
def _not_importing(names: Iterable[str]) -> Iterator[None]:
    """Make imports of optional packages fail for a while.

    The first answers over standard input and output need neither a web server nor a terminal's colours, and importing
    them takes a tenth of the time to the first answer. Where they are needed later they are imported as usual.
    """
    hidden = {name: None for name in names if name not in sys.modules}
    # The import system's own mark of a module that cannot be imported.
    sys.modules.update(hidden)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def _keep_what_was_imported() -> None:
    gc.enable()
    gc.freeze()
