"""Which tools are offered, by option, by setting and by policy."""

import logging

from tp_mcp.composition.environment import any_variable_is_set, config_file
from tp_mcp.composition.serve_options import ServeOptions
from tp_mcp.errors import ConfigurationError
from tp_mcp.server.listing import Tools, changes_tp, read_listing

logger = logging.getLogger(__name__)

SETTINGS = ("TP_MCP_TOOLSETS", "TP_MCP_DISABLED_TOOLS", "TP_MCP_READ_ONLY")
"""The variables that decide which tools are offered."""


def offered_tools(options: ServeOptions) -> Tools:
    """Return the default tools and the toolsets that the option names or, without the option, the setting.

    Disabled tools are left out and, on a read-only server, all tools that change TP.

    If a toolset does not exist, or another setting is wrong, the log says so and the default tools are offered: a chat
    with most of its tools serves its user better than one without any, and each call explains the wrong setting.
    """
    listing = read_listing()
    if options.toolsets is None and not any_variable_is_set(SETTINGS):
        return listing.default
    # Loading the settings takes longer than everything else that answers a client, so it happens only if they matter.
    from tp_mcp.settings import load_settings

    try:
        settings = load_settings(config_file(), profile=options.profile)
    except ConfigurationError as error:
        logger.warning("Only the default tools are offered: %s", error)
        return listing.default
    known = {tool.name for tools in (listing.default, *listing.toolsets.values()) for tool in tools}
    if unknown := settings.disabled_tools - known:
        logger.warning("TP_MCP_DISABLED_TOOLS names unknown tools: %s", ", ".join(sorted(unknown)))
    try:
        tools = listing.with_toolsets(settings.toolsets if options.toolsets is None else options.toolsets)
    except ConfigurationError as error:
        logger.warning("Only the default tools are offered: %s", error)
        tools = listing.default
    return tuple(
        tool
        for tool in tools
        if tool.name not in settings.disabled_tools and not (settings.read_only and changes_tp(tool))
    )
