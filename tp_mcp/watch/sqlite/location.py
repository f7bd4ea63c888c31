"""Where the store's file may lie, and with which rights."""

import os
from pathlib import Path

from tp_mcp.errors import StoreLocationError

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
MOUNTS = Path("/proc/self/mounts")
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "9p", "ceph", "glusterfs", "fuse.sshfs", "fuse.glusterfs"}
)


def prepare_file(path: Path, *, mounts: Path = MOUNTS) -> None:
    """Create the store's directory and file where they are missing, readable by their owner only.

    Raises:
        StoreLocationError: the directory cannot be made or written, or lies on a network file system, where the locks
            that SQLite relies on do not hold.

    """
    try:
        path.parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        network = network_file_system(path.parent, mounts)
        if network is not None:
            raise StoreLocationError(
                f"The state directory {path.parent} is on a network file system ({network}).",
                remedy="Set TP_MCP_STATE_DIR to a directory on a local disk.",
            )
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE))
        path.chmod(FILE_MODE)
    except OSError as error:
        raise StoreLocationError(
            f"The state directory {path.parent} cannot be used: {error.strerror}.",
            remedy="Set TP_MCP_STATE_DIR to a directory that you may write.",
        ) from None


def network_file_system(directory: Path, mounts: Path = MOUNTS) -> str | None:
    """Return the type of the network file system that a directory is on; None for a local or an unknown one."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    resolved = directory.resolve()
    best, best_type = -1, ""
    for line in lines:
        fields = line.split()
        if len(fields) < 3:
            continue
        # The kernel writes a blank in a mount point as \040.
        mount_point = Path(fields[1].replace("\\040", " "))
        depth = len(mount_point.parts)
        if depth >= best and resolved.is_relative_to(mount_point):
            best, best_type = depth, fields[2]
    return best_type if best_type in NETWORK_FILE_SYSTEMS else None
