"""The command of an upgrade with `mode: command`: exactly one `execute restore image scp` line.

The line goes to the command line of an appliance. Each part has its own character set:

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
"""Characters of the whole line."""

LONGEST_HOST = 253
"""Characters of a host's name, the limit of the domain name system."""

_WORDS = ("execute", "restore", "image", "scp")
_SEGMENT = re.compile(r"[A-Za-z0-9_.+=,@%:-]+")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}")
_PASSWORD = re.compile(r"[A-Za-z0-9!%+,./:=@^_][A-Za-z0-9!%+,./:=@^_#-]{0,127}")
_SHAPE = "execute restore image scp <path> <host> <user> <password>"
_REMEDY = f"Pass one line, as the build job prints it: {_SHAPE}"


@dataclass(frozen=True, slots=True)
class RestoreCommand:
    """An `execute restore image scp` line, taken apart.

    Attributes:
        path: absolute path of the image on `host`.
        host: the server that has the image.
        user: the login there.
        password: its password; in no representation of this object.

    """

    path: str
    host: str
    user: str
    password: SecretStr

    def line(self) -> str:
        """Return the whole line with its password, to be sent and never to be shown."""
        return f"{' '.join(_WORDS)} {self.path} {self.host} {self.user} {self.password.get_secret_value()}"

    def __str__(self) -> str:
        return f"{' '.join(_WORDS)} {self.path} {self.host} {self.user} {self.password}"


def guard_restore_command(command: object) -> RestoreCommand:
    """Return the parts of `command`.

    Errors never repeat the line, as it holds a password.

    Raises:
        InvalidArgumentError: no text, too long, or not the eight words of such a line.
        UnsafeArgumentError: a control character, more than one line, or a part with a character outside its set.

    """
    if not isinstance(command, str) or not command.strip():
        raise InvalidArgumentError("command must be a line of text; none was given.", remedy=_REMEDY)
    if len(command) > LONGEST_COMMAND:
        raise InvalidArgumentError(
            f"command is {len(command)} characters long; at most {LONGEST_COMMAND} are allowed.", remedy=_REMEDY
        )
    if not command.isprintable():
        raise UnsafeArgumentError(
            "command has a newline or another control or invisible character: exactly one line is carried.",
            remedy=_REMEDY,
        )
    words = command.split()
    if tuple(words[:4]) != _WORDS:
        raise InvalidArgumentError("command does not start with 'execute restore image scp'.", remedy=_REMEDY)
    if len(words) != 8:
        raise InvalidArgumentError(
            f"command has {len(words)} words; there must be exactly 8, and none of them in quotes.", remedy=_REMEDY
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
        # A name whose last label is a number is a misspelt IPv4 address, never a host.
        labels = host.split(".")
        return len(host) <= LONGEST_HOST and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit()
    return "%" not in host


def _bad_part(part: str, allowed: str) -> UnsafeArgumentError:
    return UnsafeArgumentError(
        f"The {part} in command has a character that is not carried.", remedy=f"Allowed: {allowed}."
    )


def guard_image(command: RestoreCommand, *, hosts: tuple[str, ...], paths: tuple[str, ...]) -> None:
    """Check that a command loads its image from where the operator allows.

    Args:
        command: what is to be sent to an appliance.
        hosts: names or addresses of hosts, compared as they are written but for case.
        paths: directories on them; one allows everything below it. With none, every directory is allowed.

    Raises:
        UnsafeArgumentError: it does not; says what would be, or how it is configured.

    """
    if not hosts:
        raise UnsafeArgumentError(
            'mode "command" is not allowed through this server: it is not configured which hosts images come from.',
            remedy="Use mode build or ga. Whoever runs the server can name hosts in TP_MCP_IMAGE_HOSTS, and "
            "directories on them in TP_MCP_IMAGE_PATHS.",
        )
    if command.host.casefold() not in {host.casefold() for host in hosts}:
        raise UnsafeArgumentError(
            f"command loads its image from {command.host}, which is not among the hosts allowed here.",
            remedy=f"Allowed: {', '.join(hosts)} (TP_MCP_IMAGE_HOSTS).",
        )
    if paths and not any(command.path.startswith(f"{path.rstrip('/')}/") for path in paths):
        raise UnsafeArgumentError(
            f"command loads {command.path}, which is not in a directory allowed here.",
            remedy=f"Allowed: {', '.join(paths)} (TP_MCP_IMAGE_PATHS).",
        )
