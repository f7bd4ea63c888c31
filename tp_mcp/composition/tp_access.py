"""The TP that the settings name, and the logins to it."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from tp_mcp.access.credentials import Vault, keys_in
from tp_mcp.api.auth import Credentials, IssuedToken, NoLogin, PasswordLogin, secrets_of
from tp_mcp.clock import Clock
from tp_mcp.errors import ConfigurationError
from tp_mcp.settings import Settings
from tp_mcp.storage.opening import Storage

NO_SERVICE_ACCOUNT = NoLogin("No service account is configured.", "Each user acts on TP with a login of their own.")
SIMULATOR_LOGIN = PasswordLogin("demo", SecretStr("demo-password"))


@dataclass(frozen=True, slots=True)
class TpAccess:
    """One TP and how to log in to it."""

    base_url: str
    credentials: Credentials
    verify: ssl.SSLContext | bool = True

    @property
    def secrets(self) -> tuple[SecretStr, ...]:
        """Return the secrets of the login, which are never shown."""
        return secrets_of(self.credentials)


def tp_access(settings: Settings, *, own_logins: bool = False) -> TpAccess:
    """Return the TP that is configured.

    Args:
        settings: the configuration.
        own_logins: whether users have logins of their own, so that none has to be configured.

    Raises:
        ConfigurationError: no TP is configured, or no login, or the authority's file cannot be used.
    """
    base_url = settings.require_base_url()
    none_given = settings.username is None and settings.password is None and settings.token is None
    credentials = NO_SERVICE_ACCOUNT if own_logins and none_given else _credentials(settings)
    return TpAccess(base_url, credentials, _verify(settings.ca_file))


def vault_of(settings: Settings, storage: Storage, *, server: str, clock: Clock) -> Vault:
    """Return the stored logins of users to one TP.

    Raises:
        ConfigurationError: the encryption key is not usable.
    """
    return Vault(storage.credentials, keys_in(settings.encryption_key), server=server, clock=clock)


def _credentials(settings: Settings) -> Credentials:
    if settings.token is not None:
        return IssuedToken(settings.token)
    if settings.username is not None and settings.password is not None:
        return PasswordLogin(settings.username, settings.password)
    login = {"TP_MCP_USERNAME": settings.username, "TP_MCP_PASSWORD": settings.password}
    missing = " and ".join(name for name, value in login.items() if value is None)
    raise ConfigurationError(
        "There is no way to log in to TP.",
        remedy=f"Set {missing}, or TP_MCP_TOKEN to a token issued elsewhere.",
    )


def _verify(ca_file: Path | None) -> ssl.SSLContext | bool:
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"TP_MCP_CA_FILE is {ca_file}, which cannot be used: {error}.",
            remedy="Name a PEM file with the certificate of the authority that signed TP's.",
        ) from None
