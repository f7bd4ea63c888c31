"""Where the image of a restore command may come from: hosts and directories that the operator names."""

from tp_mcp.api.guard.restore import RestoreCommand
from tp_mcp.errors import UnsafeArgumentError


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
