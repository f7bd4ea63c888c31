"""What a chain changes is known of every tool that may be in one."""

from tp_mcp.server.toolset import CHAINED_TOOLS
from tp_mcp.tools.starts.chain_arguments import CHANGES


def test_what_every_tool_of_a_chain_changes_and_where_is_known() -> None:
    assert CHANGES.keys() == CHAINED_TOOLS.keys()
    for name, (_, argument) in CHANGES.items():
        assert argument in CHAINED_TOOLS[name].arguments.model_fields
