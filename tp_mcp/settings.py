"""Settings, from environment variables and the configuration file.

A setting comes from a `TP_MCP_*` environment variable or, if it describes one TP, from a profile in a TOML file:

    default_profile = "test"

    [profiles.test]
    base_url = "http://tp-test:8000"
    username = "alice"
    password = "..."

    [profiles.production]
    base_url = "https://tp.example"
    token = "..."                      # production issues no tokens: paste one issued elsewhere

    [webhooks.chat]                    # for all profiles; or [profiles.test.webhooks.chat]
    url = "https://chat.example/hooks/tp"
    secret = "..."

A variable overrides the profile. The process environment is only read by `load_settings`.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tp_mcp.errors import ConfigurationError

ENV_PREFIX = "TP_MCP_"
MIN_INTERVAL_FACTOR = 0.001
MAX_INTERVAL_FACTOR = 100.0
DEFAULT_MAX_WAIT_SECONDS = 240.0
"""Longer than most clients allow a call to take."""

LONGEST_WAIT_SECONDS = 3600.0
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
WebhookFormat = Literal["json", "forge"]
WebhookEvent = Literal["end", "progress"]
WEBHOOK_SECRET_MIN_CHARACTERS = 16
WEBHOOK_NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,31}$"


class Webhook(BaseModel):
    """An endpoint that receives the ends of watches and, if configured, their progress."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    secret: SecretStr
    format: WebhookFormat = "json"
    events: frozenset[WebhookEvent] = frozenset({"end"})
    allow_private_addresses: bool = False
    ca_file: Path | None = None

    @field_validator("secret")
    @classmethod
    def _hard_to_guess(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < WEBHOOK_SECRET_MIN_CHARACTERS:
            raise ValueError(f"must have at least {WEBHOOK_SECRET_MIN_CHARACTERS} characters")
        return value

    @model_validator(mode="after")
    def _safe_address(self) -> "Webhook":
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("url must be an https:// address")
        if parts.scheme == "http" and not self.allow_private_addresses:
            raise ValueError("url must be an https:// address; http:// requires allow_private_addresses")
        if parts.username or parts.password or parts.fragment:
            raise ValueError("url must not contain a user name, password or fragment; requests are signed instead")
        return self

    @property
    def origin(self) -> str:
        """Return scheme and host, without the path: some endpoints carry a token there."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


Webhooks = dict[Annotated[str, Field(pattern=WEBHOOK_NAME_PATTERN)], Webhook]


class Profile(BaseModel):
    """A TP and its login."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: str | None = None
    username: str | None = None
    password: SecretStr | None = None
    token: SecretStr | None = None
    ca_file: Path | None = None
    webhooks: Webhooks = Field(default_factory=dict)


class ProfileFile(BaseModel):
    """The configuration file: named profiles and the default one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    default_profile: str | None = None
    profiles: dict[str, Profile] = Field(default_factory=dict)
    webhooks: Webhooks = Field(default_factory=dict)


class Settings(BaseSettings):
    """All settings, from `TP_MCP_*` variables and the selected profile."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    profile: str | None = Field(default=None, description="Profile of the configuration file.")
    base_url: str | None = Field(default=None, description="URL of TP, e.g. http://tp-test:8000.")
    username: str | None = Field(default=None, description="TP user name for the login.")
    password: SecretStr | None = Field(default=None, description="Password of that user.")
    token: SecretStr | None = Field(default=None, description="TP token issued elsewhere, instead of a login.")
    ca_file: Path | None = Field(default=None, description="PEM file of the authority that signed TP's certificate.")
    state_dir: Path | None = Field(
        default=None, description="Directory for watches and stored results; default: the user's state directory."
    )
    log_level: LogLevel = Field(default="WARNING", description="Lowest level of messages on standard error.")
    interval_factor: float = Field(
        default=1.0,
        ge=MIN_INTERVAL_FACTOR,
        le=MAX_INTERVAL_FACTOR,
        description="Factor for all poll intervals; 0.5 polls twice as often.",
    )
    testcases_ttl_seconds: float = Field(
        default=600.0, ge=0, description="Seconds to cache the test tree; each read makes TP pull its repository."
    )
    allowed_pytest_options: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset(), description="Additional pytest options for runs, separated by commas, e.g. --topology."
    )
    toolsets: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Additional toolsets to offer, separated by commas; tp-mcp doctor lists them."
    )
    max_wait_seconds: float = Field(
        default=DEFAULT_MAX_WAIT_SECONDS,
        ge=1,
        le=LONGEST_WAIT_SECONDS,
        description="Longest wait of one call for a job, in seconds; many clients abandon a call after 60 to 300.",
    )
    read_only: bool = Field(default=False, description="Offer only tools that read; nothing on TP can be changed.")
    disabled_tools: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset(), description="Tools not to offer, separated by commas."
    )
    allowed_testbeds: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Patterns of testbeds that may be changed, e.g. AT1*, separated by commas; empty: all."
    )
    protected_testbeds: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Patterns of testbeds where a person must confirm each change, separated by commas."
    )
    daily_upgrades: int | None = Field(
        default=None, ge=0, description="Upgrades that one user may start in 24 hours; unset: no limit."
    )
    daily_runs: int | None = Field(
        default=None, ge=0, description="Runs that one user may start in 24 hours; unset: no limit."
    )
    confirm: Literal["nothing", "upgrades", "everything"] = Field(
        default="upgrades", description="Changes that need a confirmation: nothing, upgrades or everything."
    )
    unasked: Literal["two-step", "refuse"] = Field(
        default="two-step",
        description="If a client cannot ask its user to confirm: two-step (a plan and a code) or refuse.",
    )
    image_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Hosts from which a restore command may load an image, separated by commas."
    )
    image_paths: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Allowed path prefixes on those hosts, separated by commas, e.g. /builds/."
    )
    auth: Literal["tokens", "jwt", "both"] | None = Field(
        default=None,
        description="Tokens that the HTTP server accepts: its own (tokens), an identity provider's (jwt) or both.",
    )
    public_url: str | None = Field(
        default=None, description="Public URL of the HTTP server, e.g. https://tp-mcp.example/mcp."
    )
    jwt_issuer: str | None = Field(default=None, description="Issuer in the identity provider's tokens (iss).")
    jwt_audience: str | None = Field(default=None, description="Audience of this server in those tokens (aud).")
    jwt_keys_url: str | None = Field(default=None, description="URL of the provider's public keys (JWKS).")
    jwt_user_claim: str = Field(default="sub", description="Claim with the user's name.")
    encryption_key: SecretStr | None = Field(
        default=None,
        description="Key for the stored TP logins of users: base64 of 32 random bytes; the first of several encrypts.",
    )
    requests_per_minute: int = Field(
        default=600, ge=1, description="Requests to the HTTP server that one user may send in a minute."
    )
    connector: Path | None = Field(
        default=None, description="Your own connector manifest, with other intervals, limits and messages."
    )
    conversation_header: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9-]{1,64}$",
        description="HTTP header in which clients name the conversation, e.g. X-Conversation.",
    )

    webhooks: Webhooks = Field(
        default_factory=dict, description="Endpoints for ends of watches, by name, as JSON; preferably in the file."
    )

    @field_validator("allowed_pytest_options", mode="before")
    @classmethod
    def _split_on_commas(cls, value: object) -> object:
        if isinstance(value, str):
            return frozenset(names_in(value))
        return value

    @field_validator(
        "toolsets",
        "disabled_tools",
        "allowed_testbeds",
        "protected_testbeds",
        "image_hosts",
        "image_paths",
        mode="before",
    )
    @classmethod
    def _names_split_on_commas(cls, value: object) -> object:
        return names_in(value) if isinstance(value, str) else value

    @field_validator("base_url", "public_url")
    @classmethod
    def _http_only(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be an http:// or https:// address such as http://tp-test:8000")
        if parts.username or parts.password:
            raise ValueError("must not contain a user name or password; use TP_MCP_USERNAME and TP_MCP_PASSWORD")
        if parts.query or parts.fragment:
            raise ValueError("must not contain a query or a fragment")
        return value.rstrip("/")

    def require_base_url(self) -> str:
        """Return the base URL.

        Raises:
            ConfigurationError: no TP is configured.
        """
        if self.base_url is None:
            raise ConfigurationError(
                "No TP is configured.",
                remedy=f"Set {ENV_PREFIX}BASE_URL (and a login), name a profile with {ENV_PREFIX}PROFILE, "
                "or start with --simulator to use the embedded TP.",
            )
        return self.base_url


def load_settings(config_file: Path, *, profile: str | None = None) -> Settings:
    """Read the environment and the configuration file.

    Args:
        config_file: TOML file with profiles; may be missing.
        profile: name of the profile; overrides the variable.

    Raises:
        ConfigurationError: a setting is wrong; the error names the variable or the place in the file.
    """
    try:
        chosen: dict[str, Any] = {} if profile is None else {"profile": profile}
        explicit = Settings(**chosen).model_dump(exclude_unset=True)
        file = _read_profile_file(config_file)
        from_profile = _chosen_profile(file, explicit.get("profile"), config_file).model_dump(exclude_none=True)
        from_profile["webhooks"] = {**file.model_dump()["webhooks"], **from_profile["webhooks"]}
        # A login in the environment replaces the profile's token, and the other way round.
        if {"username", "password"} & explicit.keys():
            from_profile.pop("token", None)
        if "token" in explicit:
            from_profile.pop("password", None)
        return Settings(**{**from_profile, **explicit})
    except ValidationError as error:
        raise ConfigurationError(_said_in_variables(error)) from None


def names_in(text: str) -> tuple[str, ...]:
    """Return the names in a comma-separated text."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def variable_names() -> dict[str, str]:
    """Return the variables with their descriptions, in the order of `Settings`."""
    return {ENV_PREFIX + name.upper(): field.description or "" for name, field in Settings.model_fields.items()}


def _read_profile_file(config_file: Path) -> ProfileFile:
    try:
        text = config_file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ProfileFile()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The configuration file {config_file} cannot be read ({error}).") from None
    try:
        return ProfileFile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"The configuration file {config_file} is not valid TOML: {error}.") from None
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_input=False)
        )
        raise ConfigurationError(f"The configuration file {config_file} is wrong: {problems}.") from None


def _chosen_profile(file: ProfileFile, name: str | None, config_file: Path) -> Profile:
    wanted = name or file.default_profile
    if wanted is None:
        return Profile()
    if wanted not in file.profiles:
        names = ", ".join(sorted(file.profiles)) or "none"
        raise ConfigurationError(
            f"There is no profile {wanted!r} in {config_file}.",
            remedy=f"Known profiles: {names}. Set {ENV_PREFIX}PROFILE to one of them.",
        )
    return file.profiles[wanted]


_EXPECTED = {
    "log_level": "must be one of " + ", ".join(get_args(LogLevel)),
    "interval_factor": f"must be a number from {MIN_INTERVAL_FACTOR:g} to {MAX_INTERVAL_FACTOR:g}, such as 0.5",
    "testcases_ttl_seconds": "must be a number of seconds, 0 or more",
}


def _said_in_variables(error: ValidationError) -> str:
    # Without the rejected value: it may be a secret in the wrong variable.
    problems: list[str] = []
    for problem in error.errors(include_input=False):
        words = problem["msg"].removeprefix("Value error, ")
        name = str(problem["loc"][0]) if problem["loc"] else ""
        words = _EXPECTED.get(name, words)
        problems.append(f"{ENV_PREFIX}{name.upper()}: {words}" if name else words)
    return "; ".join(problems) + "."
