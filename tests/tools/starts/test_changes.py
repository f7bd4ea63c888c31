"""A chain's later changes are known of every tool that may be in one."""

from tp_mcp.jobs.kinds import kind_started_by
from tp_mcp.server.toolset import CHAINED_TOOLS


def test_every_tool_of_a_chain_starts_a_kind_of_job_on_a_testbed_that_an_argument_names() -> None:
    for name, tool in CHAINED_TOOLS.items():
        kind = kind_started_by(name)
        assert kind is not None
        assert kind.testbed_argument in tool.arguments.model_fields
