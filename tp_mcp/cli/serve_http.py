"""`tp-mcp serve --http`: one server for many clients."""

import ipaddress
import os
import signal
import sys
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

import anyio

from tp_mcp.access.access_tokens import Tokens
from tp_mcp.clock import Clock, SystemClock
from tp_mcp.composition.environment import config_file
from tp_mcp.composition.serve_options import HttpOptions, ServeOptions
from tp_mcp.errors import ConfigurationError, TpMcpError
from tp_mcp.server.app import TpServer
from tp_mcp.server.auth.authentication import Authentication, Verifier, authenticated, names_answered_to
from tp_mcp.server.auth.identity_provider import Provider, TokenChecker
from tp_mcp.server.auth.rate_limit import Limiting, RateLimit
from tp_mcp.server.backend import Backend
from tp_mcp.server.http.application import MCP_PATH, Readiness, http_app
from tp_mcp.server.http.capacity import STOP_SECONDS
from tp_mcp.server.http.serving import HttpServing, listen, settled
from tp_mcp.server.http.sessions import Sessions
from tp_mcp.server.identity import HttpIdentity, Identity, everyone
from tp_mcp.settings import Settings, load_settings


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


MakeServer = Callable[[Identity, Authentication | None, Limiting], TpServer]

CUT_OFF_BEFORE_SECONDS = 0.2


def serve_http(options: ServeOptions, backend: Backend, make: MakeServer) -> None:
    """Serve until a signal asks to end. Exits with a message if the configuration cannot be used."""
    http = options.http or HttpOptions()
    clock = SystemClock()
    try:
        settings = load_settings(config_file(), profile=options.profile)
        # Before listening: a client must not wait for a configuration error.
        authentication_of(settings, http, address=_address(http, http.port), backend=backend, clock=clock)
    except TpMcpError as error:
        sys.exit(f"tp-mcp: {error}")
    try:
        listening = listen(http.host, http.port)
    except OSError as error:
        sys.exit(f"tp-mcp: cannot listen on port {http.port} of {http.host}: {error.strerror}. Choose another --port.")
    address = _address(http, listening.getsockname()[1])
    authentication = authentication_of(settings, http, address=address, backend=backend, clock=clock)
    principal_of = everyone if authentication is None else authenticated
    identity = HttpIdentity(principal_of=principal_of, header=settings.conversation_header)
    limiting = Limiting(RateLimit(clock, per_minute=settings.requests_per_minute), identity)
    server = make(identity, authentication, limiting)
    app = Sessions(http_app(server, Readiness(backend, clock), security=names_answered_to(settings.public_url)), clock)
    backend.accompany(app.following)
    backend.accompany(settled(server))

    async def close() -> None:
        await backend.close()
        server.subscriptions.close()

    serving = HttpServing(app, listening, close=close)

    async def serve() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_stop_on_signal, serving)
            # No client waits for a quick first answer here, so everything is opened now.
            backend.answered()
            print(f"tp-mcp serves MCP on {address}", file=sys.stderr, flush=True)  # noqa: T201 -- for a person
            await serving.run()
            tasks.cancel_scope.cancel()

    anyio.run(serve)


def _address(http: HttpOptions, port: int) -> str:
    host = f"[{http.host}]" if ":" in http.host else http.host
    return f"http://{host}:{port}{MCP_PATH}"


async def _stop_on_signal(serving: HttpServing) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            # The store is consistent at any time, so a slow shutdown can be cut off.
            last = threading.Timer(STOP_SECONDS - CUT_OFF_BEFORE_SECONDS, os._exit, [0])
            last.daemon = True
            last.start()
            await serving.stop()
            return
