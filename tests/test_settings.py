"""Settings come from variables and a file with profiles; each error names its variable or its place in the file."""

from pathlib import Path

import pytest

from tp_mcp.errors import ConfigurationError
from tp_mcp.settings import load_settings, variable_names

FILE = """
default_profile = "test"

[profiles.test]
base_url = "http://tp-test:8000/"
username = "alice"
password = "in-the-file"

[profiles.production]
base_url = "https://tp.example"
token = "issued-elsewhere"
ca_file = "/etc/ca.pem"
"""


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in variable_names():
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(FILE)
    return path


def test_the_default_profile_is_used_and_a_trailing_slash_does_not_count(file: Path) -> None:
    settings = load_settings(file)
    assert settings.require_base_url() == "http://tp-test:8000"
    assert settings.username == "alice"
    assert settings.password is not None
    assert settings.password.get_secret_value() == "in-the-file"


@pytest.mark.parametrize("by_variable", [True, False])
def test_a_profile_is_named_by_variable_or_by_option(
    file: Path, monkeypatch: pytest.MonkeyPatch, by_variable: bool
) -> None:
    if by_variable:
        monkeypatch.setenv("TP_MCP_PROFILE", "production")
    settings = load_settings(file, profile=None if by_variable else "production")
    assert settings.base_url == "https://tp.example"
    assert settings.token is not None
    assert settings.ca_file == Path("/etc/ca.pem")


def test_a_variable_outranks_the_profile(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TP_MCP_BASE_URL", "http://elsewhere:1")
    assert load_settings(file).base_url == "http://elsewhere:1"


def test_a_login_in_the_environment_replaces_the_profiles_token(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TP_MCP_USERNAME", "bob")
    monkeypatch.setenv("TP_MCP_PASSWORD", "secret")
    settings = load_settings(file, profile="production")
    assert settings.token is None
    assert settings.username == "bob"


def test_a_token_in_the_environment_replaces_the_profiles_password(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TP_MCP_TOKEN", "a.b.c")
    assert load_settings(file).password is None


def test_without_a_file_the_environment_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TP_MCP_BASE_URL", "http://tp:8000")
    assert load_settings(tmp_path / "none.toml").base_url == "http://tp:8000"


def test_without_a_base_url_the_error_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load_settings(tmp_path / "none.toml").require_base_url()
    assert "TP_MCP_BASE_URL" in raised.value.remedy
    assert "--simulator" in raised.value.remedy


@pytest.mark.parametrize("value", ["abc", "0", "nan", "1e9"])
def test_a_wrong_number_is_said_in_plain_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TP_MCP_INTERVAL_FACTOR", value)
    monkeypatch.setenv("TP_MCP_TESTCASES_TTL_SECONDS", "soon")
    with pytest.raises(ConfigurationError) as raised:
        load_settings(tmp_path / "none.toml")
    assert raised.value.message == (
        "TP_MCP_INTERVAL_FACTOR: must be a number from 0.001 to 100, such as 0.5; "
        "TP_MCP_TESTCASES_TTL_SECONDS: must be a number of seconds, 0 or more."
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TP_MCP_BASE_URL", "tp-test:8000"),
        ("TP_MCP_BASE_URL", "ftp://tp-test"),
        ("TP_MCP_BASE_URL", "http://alice:hunter22@tp-test"),
        ("TP_MCP_BASE_URL", "http://tp-test/?x=1"),
        ("TP_MCP_INTERVAL_FACTOR", "0"),
        ("TP_MCP_INTERVAL_FACTOR", "fast"),
        ("TP_MCP_LOG_LEVEL", "LOUD"),
        ("TP_MCP_TESTCASES_TTL_SECONDS", "-1"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_variable_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as raised:
        load_settings(tmp_path / "none.toml")
    assert name in raised.value.message
    assert "hunter22" not in str(raised.value)


def test_an_unknown_profile_is_refused_with_those_there_are(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="no profile 'staging'") as raised:
        load_settings(file, profile="staging")
    assert "production, test" in raised.value.remedy


def test_a_profile_without_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no profile 'test'") as raised:
        load_settings(tmp_path / "none.toml", profile="test")
    assert "none" in raised.value.remedy


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("profiles = 3", "profiles"),
        ("[profiles.test]\nurl = 'http://x'", "profiles.test.url"),
        ("[profiles", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_by_the_place_that_is_wrong(tmp_path: Path, content: str, named: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match="configuration file") as raised:
        load_settings(path)
    assert named in raised.value.message


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_settings(tmp_path)


def test_further_pytest_options_are_separated_by_commas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TP_MCP_ALLOWED_PYTEST_OPTIONS", "--topology, --stack,")
    assert load_settings(tmp_path / "none.toml").allowed_pytest_options == {"--topology", "--stack"}


def test_an_empty_variable_counts_as_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TP_MCP_BASE_URL", "")
    assert load_settings(tmp_path / "none.toml").base_url is None


def test_no_secret_is_in_the_representation_of_the_settings(file: Path) -> None:
    assert "in-the-file" not in repr(load_settings(file))


def test_every_variable_says_what_it_is_for() -> None:
    assert all(variable_names().values())


WEBHOOK = """
[webhooks.chat]
url = "https://chat.example/hooks/t0ken"
secret = "a-secret-of-enough-letters"
format = "forge"
events = ["end", "progress"]
"""


def test_endpoints_of_the_file_hold_for_every_profile_and_a_profile_has_its_own(file: Path) -> None:
    file.write_text(FILE + WEBHOOK + WEBHOOK.replace("webhooks.chat", "profiles.production.webhooks.ci"))
    assert set(load_settings(file).webhooks) == {"chat"}
    webhooks = load_settings(file, profile="production").webhooks
    assert set(webhooks) == {"chat", "ci"}
    assert webhooks["chat"].events == {"end", "progress"}
    assert webhooks["chat"].format == "forge"
    assert webhooks["chat"].secret.get_secret_value() == "a-secret-of-enough-letters"
    assert webhooks["chat"].origin == "https://chat.example"
    assert "a-secret" not in repr(webhooks)


def test_a_profiles_endpoint_takes_the_place_of_the_files_and_a_variable_of_both(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = WEBHOOK.replace("webhooks.chat", "profiles.test.webhooks.chat").replace("chat.example", "own.example")
    file.write_text(FILE + WEBHOOK + own)
    assert load_settings(file).webhooks["chat"].origin == "https://own.example"
    variable = '{"ci": {"url": "https://ci.example", "secret": "another-secret-that-is-long"}}'
    monkeypatch.setenv("TP_MCP_WEBHOOKS", variable)
    webhooks = load_settings(file).webhooks
    assert set(webhooks) == {"ci"}
    assert webhooks["ci"].events == {"end"}
    assert webhooks["ci"].format == "json"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("https://chat", "http://chat"), "https://"),
        (("https://chat", "ftp://chat"), "https://"),
        (("https://chat.example", "https://"), "https://"),
        (("https://chat", "https://me:pw@chat"), "signed instead"),
        (("t0ken", "t0ken#here"), "fragment"),
        (("a-secret-of-enough-letters", "s3cret-short"), "16 characters"),
        (("webhooks.chat", 'webhooks."Bad Name"'), "pattern"),
        (('"forge"', '"xml"'), "format"),
        (('"progress"', '"start"'), "events"),
        (("url =", "surprise = 1\nurl ="), "surprise"),
    ],
)
def test_an_endpoint_that_cannot_be_used_is_refused_without_showing_its_secret(
    file: Path, change: tuple[str, str], said: str
) -> None:
    file.write_text(FILE + WEBHOOK.replace(*change))
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file)
    assert said in str(caught.value)
    for secret in ("a-secret-of-enough-letters", "s3cret-short", "t0ken"):
        assert secret not in str(caught.value)


def test_plain_http_is_for_private_addresses_that_are_allowed(file: Path) -> None:
    file.write_text(FILE + WEBHOOK.replace("https://", "http://") + "allow_private_addresses = true\n")
    assert load_settings(file).webhooks["chat"].origin == "http://chat.example"
