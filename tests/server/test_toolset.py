import pytest

from tp_mcp.errors import ConfigurationError
from tp_mcp.server.toolset import ALL_TOOLS, DEFAULT_TOOLS, tools_with

SETS = {"one": DEFAULT_TOOLS[:1], "two": DEFAULT_TOOLS[1:3]}


def test_without_a_name_there_are_the_default_tools() -> None:
    assert tools_with(()) == DEFAULT_TOOLS


def test_named_toolsets_are_added_in_the_order_they_are_named_and_once() -> None:
    assert tools_with(("two", "one", "two"), SETS) == (*DEFAULT_TOOLS, *SETS["two"], *SETS["one"])


def test_an_unknown_toolset_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match="There is no toolset 'three'") as refused:
        tools_with(("one", "three"), SETS)
    assert "one, two" in refused.value.remedy


def test_no_two_tools_have_one_name() -> None:
    assert len({tool.name for tool in ALL_TOOLS}) == len(ALL_TOOLS)
