"""The options of `tp-mcp serve`.

They are read with the standard library: a chat client waits for the server's first answer, and the library behind the
other commands would take a noticeable part of that time to load.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

DEFAULT_SPEED = 20.0
MIN_SPEED = 0.1
MAX_SPEED = 1000.0


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How to serve.

    Attributes:
        profile: which profile of the configuration file; None for the configured or the default one.
        simulator: use the embedded TP.
        speed: how many times faster than real the embedded TP works.
        toolsets: names of further tools to offer; None for the configured ones.

    """

    profile: str | None = None
    simulator: bool = False
    speed: float = DEFAULT_SPEED
    toolsets: tuple[str, ...] | None = None


def parse_serve_options(arguments: Sequence[str]) -> ServeOptions:
    """Return the options; prints the help, or what is wrong, and exits where there is nothing to serve."""
    parser = argparse.ArgumentParser(
        prog="tp-mcp serve", description="Serve MCP to a chat client over standard input and output."
    )
    parser.add_argument("--profile", help="which profile of the configuration file to use")
    parser.add_argument("--simulator", action="store_true", help="use the embedded TP instead of a real one")
    parser.add_argument(
        "--speed",
        type=_speed,
        default=DEFAULT_SPEED,
        help=f"how many times faster than real the embedded TP works (default {DEFAULT_SPEED:g})",
    )
    parser.add_argument(
        "--toolsets", type=_names, help="named sets of further tools, separated by commas; tp-mcp doctor lists them"
    )
    parsed = parser.parse_args(arguments)
    return ServeOptions(parsed.profile, parsed.simulator, parsed.speed, parsed.toolsets)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _speed(text: str) -> float:
    speed = float(text)
    if not MIN_SPEED <= speed <= MAX_SPEED:
        raise argparse.ArgumentTypeError(f"must be between {MIN_SPEED:g} and {MAX_SPEED:g}")
    return speed
