import logging
import subprocess
import sys

import pytest

from tp_mcp.cli.serve import list_tools, load_tools
from tp_mcp.composition.serve_options import ServeOptions, parse_serve_options
from tp_mcp.server.toolset import ALL_TOOLS, DEFAULT_TOOLS, TOOLSETS


def test_the_option_names_toolsets_separated_by_commas() -> None:
    assert parse_serve_options(["--toolsets", "labs, triage,"]).toolsets == ("labs", "triage")
    assert parse_serve_options([]).toolsets is None


def test_without_the_option_the_setting_counts(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TP_MCP_TOOLSETS", "there-is-none")
    with caplog.at_level(logging.WARNING):
        assert load_tools(ServeOptions()) == DEFAULT_TOOLS
    assert "Only the default tools are offered: There is no toolset 'there-is-none'" in caplog.text


def test_the_option_outranks_the_setting(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("TP_MCP_TOOLSETS", "there-is-none")
    with caplog.at_level(logging.WARNING):
        assert load_tools(ServeOptions(toolsets=tuple(TOOLSETS))) == ALL_TOOLS
    assert not caplog.text


def test_a_read_only_server_lists_no_tool_that_changes_tp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("tp_mcp_read_only", "true")
    names = [tool.name for tool in list_tools(ServeOptions(toolsets=("labs",)))]
    assert names == [tool.name for tool in (*DEFAULT_TOOLS, *TOOLSETS["labs"]) if not tool.destructive]
    assert "list_versions" in names
    assert "lock_lab" not in names


def test_a_disabled_tool_is_not_listed_and_an_unknown_one_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TP_MCP_DISABLED_TOOLS", "cancel_execution,there-is-none")
    with caplog.at_level(logging.WARNING):
        names = [tool.name for tool in list_tools(ServeOptions())]
    assert names == [tool.name for tool in DEFAULT_TOOLS if tool.name != "cancel_execution"]
    assert "TP_MCP_DISABLED_TOOLS names unknown tools: there-is-none" in caplog.text


def test_a_wrong_setting_leaves_the_default_tools(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TP_MCP_READ_ONLY", "perhaps")
    with caplog.at_level(logging.WARNING):
        assert load_tools(ServeOptions()) == DEFAULT_TOOLS
    assert "Only the default tools are offered: " in caplog.text


def test_the_first_answers_load_neither_the_tools_nor_what_only_other_ways_of_serving_need() -> None:
    script = (
        "import sys; from tp_mcp import cli\n"
        "sys.argv = ['tp-mcp', 'serve']\n"
        "import anyio; anyio.run = lambda _run, server, _backend: print(len(server._listed), *sys.modules)\n"
        "cli.main()"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    assert printed[0] == str(len(DEFAULT_TOOLS))
    assert "tp_mcp.server.app" in printed
    late = ("tp_mcp.tools", "tp_mcp.watch", "tp_mcp.settings", "pydantic_settings", "platformdirs", "uvicorn", "rich")
    assert [name for name in printed if name in late] == []
