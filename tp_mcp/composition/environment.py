"""The one reader of the process's environment."""

import getpass
import os
from collections.abc import Iterable
from pathlib import Path

from tp_mcp.server.identity import ProcessIdentity

APPLICATION = "tp-mcp"
CONVERSATION_VARIABLE = "CLAUDE_CODE_SESSION_ID"
PROJECT_VARIABLE = "CLAUDE_PROJECT_DIR"
CONFIG_FILE_VARIABLE = "TP_MCP_CONFIG_FILE"


def config_file() -> Path:
    """Return the path of the file with named profiles."""
    from platformdirs import user_config_path

    named = os.environ.get(CONFIG_FILE_VARIABLE)
    return Path(named) if named else user_config_path(APPLICATION, appauthor=False) / "config.toml"


def any_variable_is_set(names: Iterable[str]) -> bool:
    """Return whether one of these variables has a value, whatever its case: the settings ignore the case too."""
    wanted = {name.upper() for name in names}
    return any(value and name.upper() in wanted for name, value in os.environ.items())


def default_state_dir() -> Path:
    """Return the state directory that is used unless one is configured."""
    from platformdirs import user_state_path

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
