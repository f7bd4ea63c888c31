"""Who may use the HTTP server is configured, or it is not served."""

from typing import Any

import pytest

from tp_mcp.cli.serve_http import authentication_of
from tp_mcp.clock import SystemClock
from tp_mcp.composition.serve_options import HttpOptions
from tp_mcp.errors import ConfigurationError
from tp_mcp.server.auth.authentication import Authentication, names_answered_to
from tp_mcp.server.backend import Backend
from tp_mcp.settings import Settings

JWT = {"jwt_issuer": "https://id.example/", "jwt_audience": "tp-mcp", "jwt_keys_url": "https://id.example/keys"}


def made(http: HttpOptions, **settings: Any) -> Authentication | None:
    backend = Backend(lambda: pytest.fail("nothing is opened for this"), SystemClock())
    address = "http://127.0.0.1:8765/mcp"
    return authentication_of(Settings(**settings), http, address=address, backend=backend, clock=SystemClock())


def test_without_a_word_it_is_not_served() -> None:
    with pytest.raises(ConfigurationError, match="Access to the HTTP server is not configured") as refused:
        made(HttpOptions())
    assert "--no-auth" in refused.value.remedy


def test_without_authentication_only_this_machine_is_listened_to() -> None:
    assert made(HttpOptions(no_auth=True)) is None
    assert made(HttpOptions("::1", no_auth=True)) is None
    with pytest.raises(ConfigurationError, match=r"0\.0\.0\.0 is more"):
        made(HttpOptions("0.0.0.0", no_auth=True), auth="tokens")


def test_beyond_this_machine_the_public_address_is_needed() -> None:
    with pytest.raises(ConfigurationError, match="address for clients") as refused:
        made(HttpOptions("0.0.0.0"), auth="tokens")
    assert "TP_MCP_PUBLIC_URL" in refused.value.remedy
    served = made(HttpOptions("0.0.0.0"), auth="tokens", public_url="https://tp-mcp.example/mcp")
    assert served is not None
    assert served.address == "https://tp-mcp.example/mcp"


def test_an_identity_provider_is_named_with_all_that_it_takes() -> None:
    with pytest.raises(ConfigurationError) as refused:
        made(HttpOptions(), auth="jwt", jwt_issuer="https://id.example/")
    assert "TP_MCP_JWT_AUDIENCE and TP_MCP_JWT_KEYS_URL" in refused.value.remedy
    with pytest.raises(ConfigurationError, match="https"):
        made(HttpOptions(), auth="both", **{**JWT, "jwt_keys_url": "http://id.example/keys"})
    served = made(HttpOptions(), auth="both", **{**JWT, "jwt_keys_url": "http://127.0.0.1:1/keys"})
    assert served is not None
    assert served.issuer == "https://id.example/"


def test_it_answers_to_this_machine_and_to_its_public_name() -> None:
    bare = names_answered_to(None)
    assert all(host.split(":*")[0] in {"127.0.0.1", "localhost", "[::1]"} for host in bare.allowed_hosts)
    public = names_answered_to("https://tp.example:8443/mcp")
    assert "tp.example:8443" in public.allowed_hosts
    assert "tp.example" not in public.allowed_hosts
    assert "https://tp.example:8443" in public.allowed_origins
    assert "tp.example:80" in names_answered_to("http://tp.example/mcp").allowed_hosts
