"""Which tools are offered, by option, by setting and by policy."""

import logging
from typing import Any

from tp_mcp.composition.environment import config_file
from tp_mcp.composition.serve_options import ServeOptions
from tp_mcp.errors import ConfigurationError
from tp_mcp.server.toolset import ALL_TOOLS, DEFAULT_TOOLS, Tools, tools_with
from tp_mcp.settings import Settings, load_settings
from tp_mcp.tools.framework.definition import ToolDefinition

logger = logging.getLogger(__name__)


def chosen_tools(options: ServeOptions) -> Tools:
    """Return the default tools and those of the toolsets that the option names, or else the setting.

    What the operator took away is left out: named tools, and all that change TP where nothing may be changed.

    Where a toolset is named that there is not, the log says so, and the default tools are offered: a chat with most of
    its tools serves its user better than one without any. So it is where a setting is wrong: each call says which.
    """
    try:
        settings = load_settings(config_file(), profile=options.profile)
    except ConfigurationError as error:
        logger.warning("Only the default tools are offered: %s", error)
        return DEFAULT_TOOLS
    unknown = settings.disabled_tools - {tool.name for tool in ALL_TOOLS}
    if unknown:
        logger.warning("TP_MCP_DISABLED_TOOLS names what is no tool: %s", ", ".join(sorted(unknown)))
    try:
        tools = tools_with(settings.toolsets if options.toolsets is None else options.toolsets)
    except ConfigurationError as error:
        logger.warning("Only the default tools are offered: %s", error)
        tools = DEFAULT_TOOLS
    return tuple(tool for tool in tools if _offered(tool, settings))


def _offered(tool: ToolDefinition[Any], settings: Settings) -> bool:
    return tool.name not in settings.disabled_tools and not (settings.read_only and tool.destructive)
