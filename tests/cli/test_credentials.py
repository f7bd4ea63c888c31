"""`tp-mcp credentials`, as an operator runs it, and what `tp-mcp doctor` says of it."""

import base64
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tp_mcp.cli.commands import app
from tp_mcp.cli.doctor import Finding, Mark, findings
from tp_mcp.clock import SystemClock
from tp_mcp.composition.open_services import has_own_logins
from tp_mcp.composition.serve_options import HttpOptions, ServeOptions

pytestmark = pytest.mark.slow


PASSWORD = "correct-horse-battery"


def new_key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


@pytest.fixture(autouse=True)
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TP_MCP_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("TP_MCP_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("TP_MCP_AUTH", "tokens")
    monkeypatch.setenv("TP_MCP_ENCRYPTION_KEY", new_key())


def run(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(app, ["credentials", *arguments], input=typed)


async def login_found(tmp_path: Path) -> Finding:
    report = [each async for each in findings(tmp_path / "none.toml", tmp_path / "state", SystemClock())]
    (finding,) = (each for each in report if each.what.startswith("Logins"))
    return finding


def test_a_password_is_read_from_standard_input_and_never_shown() -> None:
    kept = run("set", "--user", "alice", "--tp-user", "demo", typed=f"{PASSWORD}\n")
    assert (kept.exit_code, kept.output) == (0, "Stored the login of token:alice.\n")
    run("set", "--user", "oidc:bob", "--tp-user", "rival", typed=PASSWORD)
    first, second = run("list").output.splitlines()
    assert first.startswith("oidc:bob\trival\tpassword\tsince 2")
    assert second.startswith("token:alice\tdemo\tpassword\tsince 2")
    assert second.endswith("\tvalid")
    assert run("remove", "--user", "alice").output == "Removed the login of token:alice.\n"
    assert len(run("list").output.splitlines()) == 1
    again = run("remove", "--user", "alice")
    assert again.exit_code == 1
    assert "no login of 'token:alice'" in again.output


def test_what_is_no_token_is_refused_without_being_shown() -> None:
    refused = run("set", "--user", "alice", typed=f"{PASSWORD}\n")
    assert refused.exit_code == 1
    assert "not a TP token" in refused.output
    assert PASSWORD not in refused.output


def test_at_a_terminal_it_is_asked_for_and_not_echoed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tp_mcp.cli.administration.sys.stdin", Terminal())
    monkeypatch.setattr("typer.prompt", lambda what, *, hide_input: PASSWORD if hide_input else what)
    from tp_mcp.cli.administration import _ask

    assert _ask("Password") == PASSWORD


class Terminal:
    def isatty(self) -> bool:
        return True


def test_there_is_no_option_for_a_secret() -> None:
    said = run("set", "--help").output
    assert "--password" not in said
    assert "--token" not in said


def test_without_a_key_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TP_MCP_ENCRYPTION_KEY")
    refused = run("set", "--user", "alice", "--tp-user", "demo", typed=PASSWORD)
    assert refused.exit_code == 1
    assert "openssl rand -base64 32" in refused.output
    assert run("list").output == ""


async def test_doctor_counts_what_is_kept_and_finds_another_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = await login_found(tmp_path)
    assert kept.mark is Mark.OK
    assert "0 stored; no service account" in kept.what
    monkeypatch.delenv("TP_MCP_ENCRYPTION_KEY")
    none = await login_found(tmp_path)
    assert none.mark is Mark.WARNING
    assert "credentials set" in none.remedy
    monkeypatch.setenv("TP_MCP_ENCRYPTION_KEY", "no key")
    wrong = await login_found(tmp_path)
    assert wrong.mark is Mark.FAILED
    assert "TP_MCP_ENCRYPTION_KEY is not a key" in wrong.what


def test_doctor_says_whose_login_another_key_does_not_decrypt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import anyio

    run("set", "--user", "alice", "--tp-user", "demo", typed=PASSWORD)
    monkeypatch.setenv("TP_MCP_USERNAME", "demo")
    monkeypatch.setenv("TP_MCP_PASSWORD", "demo-password")
    assert "1 stored; the configured login only polls" in anyio.run(login_found, tmp_path).what
    monkeypatch.setenv("TP_MCP_ENCRYPTION_KEY", new_key())
    lost = anyio.run(login_found, tmp_path)
    assert lost.mark is Mark.FAILED
    assert "does not decrypt 1: token:alice" in lost.what
    assert "cannot be decrypted" in run("list").output


@pytest.mark.parametrize(
    ("http", "own"), [(None, False), (HttpOptions(no_auth=True), False), (HttpOptions(), True)], ids=str
)
def test_users_have_logins_of_their_own_where_the_server_knows_them(http: HttpOptions | None, own: bool) -> None:
    assert has_own_logins(ServeOptions(http=http)) is own
