"""Check of an upgrade's command: exactly one `execute restore image scp` line.

An appliance executes the line. Each part has its own character set:

    path      absolute: letters, digits and `_ . + = , @ % : -`, segments joined by single slashes, no `..`
    host      a name of letters, digits and dashes joined by dots, an IPv4 or an IPv6 address
    user      letters, digits and `_ . @ -`
    password  letters, digits and `! % + , . / : = @ ^ _ # -`, not starting with `-` or `#`
"""

import ipaddress
import re
from dataclasses import dataclass

from pydantic import SecretStr

from tp_mcp.errors import InvalidArgumentError, UnsafeArgumentError

LONGEST_COMMAND = 1_000
"""Limit of the line, in characters."""

LONGEST_HOST = 253
"""Limit of a host name, in characters, as in the DNS."""

_WORDS = ("execute", "restore", "image", "scp")
_SEGMENT = re.compile(r"[A-Za-z0-9_.+=,@%:-]+")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}")
_PASSWORD = re.compile(r"[A-Za-z0-9!%+,./:=@^_][A-Za-z0-9!%+,./:=@^_#-]{0,127}")
_SHAPE = "execute restore image scp <path> <host> <user> <password>"
_REMEDY = f"Pass one line, as printed by the build job: {_SHAPE}"


@dataclass(frozen=True, slots=True)
class RestoreCommand:
    """A parsed `execute restore image scp` line.

    Attributes:
        path: absolute path of the image on `host`.
        password: password on `host`; never part of this object's representation.
    """

    path: str
    host: str
    user: str
    password: SecretStr

    def line(self) -> str:
        """Return the line with its password, to be sent but never shown."""
        return f"{' '.join(_WORDS)} {self.path} {self.host} {self.user} {self.password.get_secret_value()}"

    def __str__(self) -> str:
        return f"{' '.join(_WORDS)} {self.path} {self.host} {self.user} {self.password}"


def guard_restore_command(command: object) -> RestoreCommand:
    """Parse and check a command.

    Errors never repeat the line, because it contains a password.

    Raises:
        InvalidArgumentError: not a string, too long, or not the eight words of such a line.
        UnsafeArgumentError: a control character, more than one line, or a part with a forbidden character.
    """
    if not isinstance(command, str) or not command.strip():
        raise InvalidArgumentError("command must be a line of text, which is missing.", remedy=_REMEDY)
    if len(command) > LONGEST_COMMAND:
        raise InvalidArgumentError(
            f"command is {len(command)} characters long; at most {LONGEST_COMMAND} are allowed.", remedy=_REMEDY
        )
    if not command.isprintable():
        raise UnsafeArgumentError(
            "command contains a newline or another control or invisible character: only a single line is sent.",
            remedy=_REMEDY,
        )
    words = command.split()
    if tuple(words[:4]) != _WORDS:
        raise InvalidArgumentError("command does not start with 'execute restore image scp'.", remedy=_REMEDY)
    if len(words) != 8:
        raise InvalidArgumentError(
            f"command has {len(words)} words; it must have exactly 8, without quotes.", remedy=_REMEDY
        )
    path, host, user, password = words[4:]
    if not _is_path(path):
        raise _bad_part("path", "an absolute path of letters, digits and _ . + = , @ % : - without '..'")
    if not _is_host(host):
        raise _bad_part("host", "a host name, an IPv4 or an IPv6 address")
    if not _USER.fullmatch(user):
        raise _bad_part("user", "letters, digits and _ . @ -")
    if not _PASSWORD.fullmatch(password):
        raise _bad_part("password", "letters, digits and ! % + , . / : = @ ^ _ # -, not starting with - or #")
    return RestoreCommand(path=path, host=host, user=user, password=SecretStr(password))


def _is_path(path: str) -> bool:
    segments = path.split("/")
    return (
        len(segments) > 1
        and not segments[0]
        and all(_SEGMENT.fullmatch(each) and each not in (".", "..") for each in segments[1:])
    )


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        # A name with a numeric last label is a misspelt IPv4 address, never a host.
        labels = host.split(".")
        return len(host) <= LONGEST_HOST and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit()
    return "%" not in host


def _bad_part(part: str, allowed: str) -> UnsafeArgumentError:
    return UnsafeArgumentError(f"The {part} in command contains a forbidden character.", remedy=f"Allowed: {allowed}.")


def guard_image(command: RestoreCommand, *, hosts: tuple[str, ...], paths: tuple[str, ...]) -> None:
    """Check that a command loads its image from an allowed source.

    Args:
        hosts: allowed host names or addresses, compared as text without regard to case.
        paths: allowed directories on these hosts, including everything below them; empty to allow all.

    Raises:
        UnsafeArgumentError: the source is not allowed; the error names allowed ones, or the setting.
    """
    if not hosts:
        raise UnsafeArgumentError(
            'mode "command" is not allowed through this server: no image hosts are configured.',
            remedy="Use mode build or ga. The operator of this server can set hosts in TP_MCP_IMAGE_HOSTS, and "
            "directories on them in TP_MCP_IMAGE_PATHS.",
        )
    if command.host.casefold() not in {host.casefold() for host in hosts}:
        raise UnsafeArgumentError(
            f"command loads its image from {command.host}, which is not an allowed host.",
            remedy=f"Allowed: {', '.join(hosts)} (TP_MCP_IMAGE_HOSTS).",
        )
    if paths and not any(command.path.startswith(f"{path.rstrip('/')}/") for path in paths):
        raise UnsafeArgumentError(
            f"command loads {command.path}, which is not in an allowed directory.",
            remedy=f"Allowed: {', '.join(paths)} (TP_MCP_IMAGE_PATHS).",
        )
