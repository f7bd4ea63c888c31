import logging

import pytest

from tp_mcp.cli.toolsets import chosen_tools
from tp_mcp.composition.serve_options import ServeOptions, parse_serve_options
from tp_mcp.server import toolset
from tp_mcp.server.toolset import DEFAULT_TOOLS, TOOLSETS


def test_the_option_names_toolsets_separated_by_commas() -> None:
    assert parse_serve_options(["--toolsets", "labs, triage,"]).toolsets == ("labs", "triage")
    assert parse_serve_options([]).toolsets is None


def test_without_the_option_the_setting_counts(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TP_MCP_TOOLSETS", "there-is-none")
    with caplog.at_level(logging.WARNING):
        assert chosen_tools(ServeOptions()) == DEFAULT_TOOLS
    assert "Only the default tools are offered: There is no toolset 'there-is-none'" in caplog.text


def test_the_option_outranks_the_setting(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("TP_MCP_TOOLSETS", "there-is-none")
    with caplog.at_level(logging.WARNING):
        assert chosen_tools(ServeOptions(toolsets=tuple(TOOLSETS))) == toolset.ALL_TOOLS
    assert not caplog.text
