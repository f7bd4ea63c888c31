import getpass
import os
from pathlib import Path

import pytest

from tp_mcp.composition import environment


def test_the_conversation_is_the_one_that_the_client_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAUDE_CODE_SESSION_ID", "abc")
    owner = environment.process_identity().owner(None)
    assert owner.exact
    assert "abc" in owner.conversation


def test_without_one_it_is_the_project_directory_which_chats_may_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", "/home/alice/project")
    owner = environment.process_identity().owner(None)
    assert not owner.exact
    assert "/home/alice/project" in owner.conversation


def test_the_principal_is_the_user_of_the_process() -> None:
    assert environment.process_identity().principal == f"local:{getpass.getuser()}"


def test_a_user_without_an_entry_in_the_user_database_is_told_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_entry() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", no_entry)
    assert environment.process_identity().principal == f"local:{os.getuid()}"


def test_the_configuration_file_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TP_MCP_CONFIG_FILE", "/etc/tp.toml")
    assert environment.config_file() == Path("/etc/tp.toml")


def test_otherwise_it_is_in_the_users_configuration_directory(tmp_path: Path) -> None:
    assert environment.config_file() == tmp_path / "config" / "tp-mcp" / "config.toml"
    assert environment.default_state_dir() == tmp_path / "state" / "tp-mcp"
