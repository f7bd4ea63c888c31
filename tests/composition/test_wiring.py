"""The parts behind the tools, joined as the settings say."""

from pathlib import Path

from tests.support.process import LAB
from tests.support.world import open_world


async def test_a_chain_calls_no_tool_that_the_operator_disabled(tmp_path: Path) -> None:
    async with open_world(tmp_path, disabled_tools=frozenset({"run_pytest"})) as world:
        follows = {"tool": "run_pytest", "args": {"lab": LAB, "testcase": ["Tests_CLI"]}}
        text = await world.refused("start_upgrade", testbed=LAB, mode="build", build_number="6957", on_done=follows)
        assert "there is no tool 'run_pytest'" in text
        assert world.written == []
