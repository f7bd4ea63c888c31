"""Which tools are offered, by option and by setting."""

import logging

from tp_mcp.cli.environment import config_file
from tp_mcp.cli.serve_options import ServeOptions
from tp_mcp.errors import ConfigurationError
from tp_mcp.server.toolset import DEFAULT_TOOLS, Tools, tools_with
from tp_mcp.settings import load_settings

logger = logging.getLogger(__name__)


def chosen_tools(options: ServeOptions) -> Tools:
    """Return the default tools and those of the toolsets that the option names, or else the setting.

    Where a toolset is named that there is not, the log says so, and the default tools are offered: a chat with most of
    its tools serves its user better than one without any.
    """
    try:
        names = options.toolsets
        if names is None:
            names = load_settings(config_file(), profile=options.profile).toolsets
        return tools_with(names)
    except ConfigurationError as error:
        logger.warning("Only the default tools are offered: %s", error)
        return DEFAULT_TOOLS
