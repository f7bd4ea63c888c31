from pathlib import Path

import pytest

from tp_mcp.cli.doctor import Finding, Mark, findings, run_doctor
from tp_mcp.clock import SystemClock
from tp_mcp.errors import StoreCorruptError
from tp_mcp.server.toolset import DEFAULT_TOOLS
from tp_mcp.storage.watches import WatchStore
from tp_mcp.watch.model.watch import Watch


async def found(configuration: Path, state_dir: Path, profile: str | None = None) -> list[Finding]:
    return [finding async for finding in findings(configuration, state_dir, SystemClock(), profile=profile)]


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


async def test_everything_is_well_where_tp_answers_and_the_login_is_right(
    configuration: Path, tmp_path: Path, tp_url: str
) -> None:
    configuration.write_text(
        f'default_profile = "test"\n[profiles.test]\nbase_url = "{tp_url}"\n'
        'username = "demo"\npassword = "demo-password"\n'
    )
    configuration.chmod(0o600)
    report = await found(configuration, tmp_path / "state")
    assert {finding.mark for finding in report} == {Mark.OK}
    said = "\n".join(finding.what for finding in report)
    assert f"{tp_url} answers, and accepts user name and password" in said
    assert "demo may use 4 labs" in said


async def test_a_wrong_password_is_said_without_showing_it(
    configuration: Path, tmp_path: Path, tp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TP_MCP_BASE_URL", tp_url)
    monkeypatch.setenv("TP_MCP_USERNAME", "demo")
    monkeypatch.setenv("TP_MCP_PASSWORD", "wrong-horse-battery")
    last = (await found(configuration, tmp_path / "state"))[-1]
    assert last.mark is Mark.FAILED
    assert "TP_MCP_PASSWORD" in last.remedy
    assert "wrong-horse-battery" not in f"{last.what} {last.remedy}"


async def test_a_tp_that_is_down_is_said_to_be(
    configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TP_MCP_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("TP_MCP_TOKEN", "no.real.token")
    last = (await found(configuration, tmp_path / "state"))[-1]
    assert last.mark is Mark.FAILED
    assert last.remedy


async def test_a_missing_half_of_the_login_is_named(
    configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TP_MCP_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("TP_MCP_USERNAME", "demo")
    last = (await found(configuration, tmp_path / "state"))[-1]
    assert last.mark is Mark.FAILED
    assert "TP_MCP_PASSWORD" in last.remedy
    assert "TP_MCP_USERNAME" not in last.remedy


async def test_a_wrong_setting_ends_the_check_and_names_its_variable(
    configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TP_MCP_INTERVAL_FACTOR", "fast")
    (only,) = await found(configuration, tmp_path / "state")
    assert only.mark is Mark.FAILED
    assert "TP_MCP_INTERVAL_FACTOR" in only.what


async def test_a_configuration_file_that_others_can_read_is_a_warning(configuration: Path, tmp_path: Path) -> None:
    configuration.write_text("")
    configuration.chmod(0o644)
    report = await found(configuration, tmp_path / "state")
    assert any(finding.mark is Mark.WARNING and "chmod 600" in finding.remedy for finding in report)


async def test_a_store_that_cannot_be_opened_is_said(configuration: Path, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way of the directory")
    report = await found(configuration, tmp_path / "state")
    assert any(finding.mark is Mark.FAILED and "TP_MCP_STATE_DIR" in finding.remedy for finding in report)


async def test_a_store_that_cannot_be_read_is_said_and_closed_again(
    configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def damaged(_store: WatchStore, _server: str | None) -> tuple[Watch, ...]:
        raise StoreCorruptError("The store is damaged.", remedy="Move it aside.")

    monkeypatch.setattr(WatchStore, "unended", damaged)
    report = await found(configuration, tmp_path / "state")
    assert any(finding.mark is Mark.FAILED and finding.remedy == "Move it aside." for finding in report)


async def test_a_connector_of_ones_own_that_is_missing_is_said(
    configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TP_MCP_CONNECTOR", str(tmp_path / "none.yaml"))
    report = await found(configuration, tmp_path / "state")
    assert any(finding.mark is Mark.FAILED and "none.yaml" in finding.what for finding in report)


def test_it_exits_with_one_and_says_what_to_do_where_nothing_is_configured(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_doctor(profile=None) == 1
    said = capsys.readouterr().out
    assert "TP_MCP_BASE_URL" in said
    assert "--simulator" in said
    assert "cannot work yet" in said


async def test_the_toolsets_that_can_be_named_are_listed(configuration: Path, tmp_path: Path) -> None:
    said = "\n".join(finding.what for finding in await found(configuration, tmp_path / "state"))
    assert f"Tools: {len(DEFAULT_TOOLS)} offered. Toolsets that can be named: " in said


async def test_a_toolset_that_there_is_not_is_said(
    configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TP_MCP_TOOLSETS", "there-is-none")
    failed = next(each for each in await found(configuration, tmp_path / "state") if each.what.startswith("Tools"))
    assert failed.mark is Mark.FAILED
    assert "There is no toolset 'there-is-none'" in failed.what


async def test_endpoints_are_shown_without_what_is_secret(configuration: Path, tmp_path: Path) -> None:
    webhook = (
        '[webhooks.{name}]\nurl = "https://{name}.example/hooks/t0ken"\nsecret = "a-secret-of-enough-letters"\n{more}\n'
    )
    configuration.write_text(
        webhook.format(
            name="chat", more='format = "forge"\nevents = ["end", "progress"]\nallow_private_addresses = true'
        )
        + webhook.format(name="ci", more='ca_file = "/nowhere/ca.pem"')
    )
    configuration.chmod(0o600)
    report = [each for each in await found(configuration, tmp_path / "state") if each.what.startswith("Webhook")]
    assert [each.mark for each in report] == [Mark.OK, Mark.WARNING]
    assert report[0].what == (
        "Webhook chat: https://chat.example, receives end and progress as forge, private addresses allowed."
    )
    assert "/nowhere/ca.pem is no file" in report[1].what
    said = "".join(each.what + each.remedy for each in report)
    assert "t0ken" not in said
    assert "a-secret" not in said
