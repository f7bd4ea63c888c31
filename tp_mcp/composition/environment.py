"""What is read from the process's environment, and nowhere else."""

import getpass
import os
from pathlib import Path

from platformdirs import user_config_path, user_state_path

from tp_mcp.server.identity import ProcessIdentity

APPLICATION = "tp-mcp"
CONVERSATION_VARIABLE = "CLAUDE_CODE_SESSION_ID"
PROJECT_VARIABLE = "CLAUDE_PROJECT_DIR"
CONFIG_FILE_VARIABLE = "TP_MCP_CONFIG_FILE"


def config_file() -> Path:
    """Return where named profiles are read from."""
    named = os.environ.get(CONFIG_FILE_VARIABLE)
    return Path(named) if named else user_config_path(APPLICATION, appauthor=False) / "config.toml"


def default_state_dir() -> Path:
    """Return where watches are kept unless it is configured."""
    return user_state_path(APPLICATION, appauthor=False)


def process_identity() -> ProcessIdentity:
    """Return who uses this process: its user, the conversation its client names, and the project directory."""
    return ProcessIdentity(
        principal=f"local:{_user()}",
        conversation=os.environ.get(CONVERSATION_VARIABLE) or None,
        project=os.environ.get(PROJECT_VARIABLE) or os.getcwd(),  # noqa: PTH109 -- Path.cwd() resolves no more
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A user id without an entry in the user database, as containers have it.
        return str(os.getuid())
