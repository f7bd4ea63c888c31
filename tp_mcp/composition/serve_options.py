"""The options of `tp-mcp serve`.

The standard library parses them: a chat client waits for the server's first answer, and the library of the other
commands would take a noticeable part of that time to load.
"""

import argparse
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DEFAULT_SPEED = 20.0
MIN_SPEED = 0.1
MAX_SPEED = 1000.0
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8765
MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """Where to serve over HTTP.

    Attributes:
        host: address to listen on.
        port: port to listen on; 0 for any free one.
        no_auth: whether everybody on this machine may use it.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    no_auth: bool = False


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """The options of one server.

    Attributes:
        profile: the profile of the configuration file; None for the configured or the default one.
        simulator: whether to use the embedded TP.
        speed: how many times faster than real the embedded TP works.
        toolsets: names of further tools to offer; None for the configured ones.
        connector: a connector manifest of the user's own; None for the configured one, or TP's.
        http: where to serve over HTTP; None for standard input and output.
    """

    profile: str | None = None
    simulator: bool = False
    speed: float = DEFAULT_SPEED
    toolsets: tuple[str, ...] | None = None
    connector: Path | None = None
    http: HttpOptions | None = None


def parse_serve_options(arguments: Sequence[str]) -> ServeOptions:
    """Return the options; prints the help or an error and exits where there is nothing to serve."""
    parser = argparse.ArgumentParser(
        prog="tp-mcp serve", description="Serve MCP to a chat client over standard input and output, or over HTTP."
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
    parser.add_argument(
        "--connector", type=Path, help="a connector manifest of your own, for other intervals, limits and messages"
    )
    parser.add_argument("--http", action="store_true", help="serve many clients over streamable HTTP, at /mcp")
    parser.add_argument("--host", type=_address, help=f"with --http: address to listen on (default {DEFAULT_HOST})")
    parser.add_argument(
        "--no-auth", action="store_true", help="with --http: let everybody on this machine in, without a token"
    )
    parser.add_argument(
        "--port", type=_port, help=f"with --http: port to listen on; 0 for any free one (default {DEFAULT_PORT})"
    )
    parsed = parser.parse_args(arguments)
    if not parsed.http and (parsed.host is not None or parsed.port is not None or parsed.no_auth):
        parser.error("--host, --port and --no-auth are for --http")
    port = DEFAULT_PORT if parsed.port is None else parsed.port
    http = HttpOptions(parsed.host or DEFAULT_HOST, port, parsed.no_auth)
    return ServeOptions(
        parsed.profile,
        parsed.simulator,
        parsed.speed,
        parsed.toolsets,
        parsed.connector,
        http=http if parsed.http else None,
    )


def _address(text: str) -> str:
    host = DEFAULT_HOST if text == "localhost" else text
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not an IP address, such as 127.0.0.1 or 0.0.0.0") from None


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= MAX_PORT:
        raise argparse.ArgumentTypeError(f"must be between 0 and {MAX_PORT}")
    return port


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _speed(text: str) -> float:
    speed = float(text)
    if not MIN_SPEED <= speed <= MAX_SPEED:
        raise argparse.ArgumentTypeError(f"must be between {MIN_SPEED:g} and {MAX_SPEED:g}")
    return speed
