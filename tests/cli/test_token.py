"""`tp-mcp token`, as an operator runs it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tp_mcp.access.access_tokens import PREFIX
from tp_mcp.cli.commands import app


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TP_MCP_STATE_DIR", str(tmp_path / "state"))


def test_a_token_is_printed_once_and_listed_without_itself() -> None:
    made = CliRunner().invoke(app, ["token", "add", "alice-laptop", "--user", "alice", "--days", "30"])
    assert made.exit_code == 0
    (secret,) = made.stdout.splitlines()
    assert secret.startswith(PREFIX)
    CliRunner().invoke(app, ["token", "add", "ci", "--user", "ci"])
    listed = CliRunner().invoke(app, ["token", "list"]).stdout
    assert secret not in listed
    first, second = listed.splitlines()
    assert first.startswith("alice-laptop\ttoken:alice\tvalid until 2")
    assert second == "ci\ttoken:ci\tvalid"


def test_a_revoked_one_is_listed_as_such() -> None:
    CliRunner().invoke(app, ["token", "add", "ci", "--user", "ci"])
    assert CliRunner().invoke(app, ["token", "revoke", "ci"]).exit_code == 0
    assert "\trevoked 2" in CliRunner().invoke(app, ["token", "list"]).stdout
    again = CliRunner().invoke(app, ["token", "revoke", "ci"])
    assert again.exit_code == 1
    assert "There is no token 'ci' that is not revoked." in again.output


def test_one_that_expired_is_listed_as_such() -> None:
    CliRunner().invoke(app, ["token", "add", "brief", "--user", "ci", "--days", "0.00000001"])
    assert CliRunner().invoke(app, ["token", "list"]).stdout.endswith("\texpired\n")
