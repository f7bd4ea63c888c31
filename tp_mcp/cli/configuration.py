"""From settings to what the server is made of."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from tp_mcp.api.auth import Credentials, IssuedToken, PasswordLogin
from tp_mcp.errors import ConfigurationError
from tp_mcp.settings import Settings

SIMULATOR_LOGIN = PasswordLogin("demo", SecretStr("demo-password"))


@dataclass(frozen=True, slots=True)
class TpAccess:
    """One TP and how to log in to it."""

    base_url: str
    credentials: Credentials
    verify: ssl.SSLContext | bool = True

    @property
    def secrets(self) -> tuple[SecretStr, ...]:
        """Return what must never be shown."""
        match self.credentials:
            case PasswordLogin():
                return (self.credentials.password,)
            case IssuedToken():
                return (self.credentials.token,)


def tp_access(settings: Settings) -> TpAccess:
    """Return the TP that is configured.

    Raises:
        ConfigurationError: none is, or there is no way to log in, or the authority's file cannot be used.

    """
    return TpAccess(settings.require_base_url(), _credentials(settings), _verify(settings.ca_file))


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
