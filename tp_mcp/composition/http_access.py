"""Who may use the HTTP server, and under which names, by the settings."""

import ipaddress
from urllib.parse import urlsplit

from tp_mcp.access.access_tokens import Tokens
from tp_mcp.clock import Clock
from tp_mcp.composition.serve_options import HttpOptions
from tp_mcp.errors import ConfigurationError
from tp_mcp.server.auth.authentication import Authentication, Verifier
from tp_mcp.server.auth.identity_provider import Provider, TokenChecker
from tp_mcp.server.backend import Backend
from tp_mcp.settings import Settings


def authentication_of(
    settings: Settings, http: HttpOptions, *, address: str, backend: Backend, clock: Clock
) -> Authentication | None:
    """Return how requests are authenticated; None where the operator turned authentication off.

    Args:
        settings: the configuration.
        http: the address to serve on, and whether without authentication.
        address: the server's URL for clients of this machine.
        backend: opens the storage, which has this server's own tokens.
        clock: the time.

    Raises:
        ConfigurationError: authentication is not configured, or not enough for the address.

    """
    only_this_machine = ipaddress.ip_address(http.host).is_loopback
    if http.no_auth:
        if not only_this_machine:
            raise ConfigurationError(
                f"Without authentication only this machine may be listened to, and {http.host} is more.",
                remedy="Listen on 127.0.0.1 or ::1, or configure TP_MCP_AUTH.",
            )
        return None
    if settings.auth is None:
        raise ConfigurationError(
            "Access to the HTTP server is not configured.",
            remedy="Set TP_MCP_AUTH to tokens (tp-mcp token add makes one), jwt or both; or, for everybody on this "
            "machine, add --no-auth.",
        )
    if not only_this_machine and settings.public_url is None:
        raise ConfigurationError(
            "The server's address for clients is not configured.",
            remedy="Set TP_MCP_PUBLIC_URL, e.g. to https://tp-mcp.example/mcp. Put TLS in front of it.",
        )

    async def tokens() -> Tokens:
        return (await backend.services()).access.tokens

    provider = _provider(settings) if settings.auth in {"jwt", "both"} else None
    return Authentication(
        verifier=Verifier(
            tokens=tokens if settings.auth in {"tokens", "both"} else None,
            checker=None if provider is None else TokenChecker(provider, clock),
        ),
        address=settings.public_url or address,
        issuer=None if provider is None else provider.issuer,
    )


def _provider(settings: Settings) -> Provider:
    wanted = {
        "TP_MCP_JWT_ISSUER": settings.jwt_issuer,
        "TP_MCP_JWT_AUDIENCE": settings.jwt_audience,
        "TP_MCP_JWT_KEYS_URL": settings.jwt_keys_url,
    }
    missing = [name for name, value in wanted.items() if not value]
    if missing:
        raise ConfigurationError(
            "The identity provider is not configured.",
            remedy=f"Set {' and '.join(missing)} as the provider documents.",
        )
    issuer, audience, keys_url = (str(value) for value in wanted.values())
    if urlsplit(keys_url).scheme != "https" and not _of_this_machine(keys_url):
        raise ConfigurationError(
            "TP_MCP_JWT_KEYS_URL is not an https:// address.",
            remedy="Keys that can be replaced on their way prove nothing.",
        )
    return Provider(issuer, audience, keys_url, claim=settings.jwt_user_claim)


def _of_this_machine(url: str) -> bool:
    return urlsplit(url).hostname in {"127.0.0.1", "::1", "localhost"}
