"""Whose an HTTP request is, and in which conversation."""

from types import SimpleNamespace
from typing import Any

import pytest
from mcp.server.context import ServerRequestContext
from starlette.requests import Request

from tp_mcp.server.identity import HttpIdentity
from tp_mcp.watch.model.watch import Owner

SHARED = Owner("local", "http", exact=False)


def asked(
    headers: dict[str, str] | None = None, *, meta: dict[str, Any] | None = None, version: str = "2025-11-25"
) -> ServerRequestContext[Any, Any]:
    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    request = Request({"type": "http", "headers": raw})
    context: Any = SimpleNamespace(request=request, meta=meta, protocol_version=version)
    return context  # type: ignore[no-any-return]  # what is used of one


def test_a_name_in_the_request_outranks_the_header_and_the_session() -> None:
    headers = {"X-Conversation": "h", "Mcp-Session-Id": "s"}
    owner = HttpIdentity(header="X-Conversation").of(asked(headers, meta={"threadId": "t"}))
    assert owner == Owner("local", "threadId:t", exact=True)


def test_the_configured_header_outranks_the_session() -> None:
    headers = {"X-Conversation": "h", "Mcp-Session-Id": "s"}
    assert HttpIdentity(header="X-Conversation").of(asked(headers)) == Owner("local", "header:h", exact=True)


def test_a_header_that_is_not_configured_says_nothing() -> None:
    assert HttpIdentity().of(asked({"X-Conversation": "h"})) == SHARED


def test_a_session_is_a_conversation_and_its_id_is_not_in_the_key() -> None:
    one, two = (HttpIdentity().of(asked({"Mcp-Session-Id": session})) for session in ("one-id", "two-id"))
    assert one.exact
    assert one != two
    assert one.conversation.startswith("session:")
    assert "one-id" not in one.conversation


def test_in_the_era_without_sessions_a_session_header_says_nothing() -> None:
    assert HttpIdentity().of(asked({"Mcp-Session-Id": "s"}, version="2026-07-28")) == SHARED


def test_the_principal_is_asked_of_each_request() -> None:
    identity = HttpIdentity(principal_of=lambda request: request.headers["x-user"])
    assert identity.of(asked({"X-User": "alice"})) != identity.of(asked({"X-User": "bob"}))


def test_a_request_that_did_not_come_over_http_is_nobodys() -> None:
    context = asked()
    context.request = None
    with pytest.raises(ValueError, match="HTTP"):
        HttpIdentity().of(context)
