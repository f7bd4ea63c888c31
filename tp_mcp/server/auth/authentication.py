"""What the HTTP server needs to know who calls, and on which names it answers."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from mcp.server.auth.settings import AuthSettings
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import AnyHttpUrl

from tp_mcp.server.auth.verifying import SCOPE, Verifier

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True)
class Authentication:
    """How requests are authenticated.

    Attributes:
        verifier: tells whose a token is.
        address: the server's URL as clients see it, `/mcp` included; what tokens of an identity provider are for.
        issuer: the identity provider, which clients are told of; None where there is none.

    """

    verifier: Verifier
    address: str
    issuer: str | None = None

    def settings(self) -> AuthSettings:
        """Return the SDK's settings. Where there is a provider, the protected-resource metadata names it."""
        if self.issuer is None:
            return AuthSettings(issuer_url=AnyHttpUrl(self.address), resource_server_url=None, required_scopes=[SCOPE])
        return AuthSettings(
            issuer_url=AnyHttpUrl(self.issuer),
            resource_server_url=AnyHttpUrl(self.address),
            # The verifier checks the audience itself, which need not be the address.
            validate_token_resource=False,
            required_scopes=None,
        )


def names_answered_to(public_url: str | None) -> TransportSecuritySettings:
    """Return the Host and Origin headers that are let through: of this machine, and of the public address.

    A page in somebody's browser must not speak to the server under a name of its own.
    """
    hosts = [f"{name}:*" for name in LOOPBACK_NAMES]
    origins = [f"http://{name}:*" for name in LOOPBACK_NAMES]
    if public_url is not None:
        parts = urlsplit(public_url)
        hosts += [parts.netloc, *([f"{parts.netloc}:{_usual_port(parts.scheme)}"] if parts.port is None else [])]
        origins.append(f"{parts.scheme}://{parts.netloc}")
    return TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins)


def _usual_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80
