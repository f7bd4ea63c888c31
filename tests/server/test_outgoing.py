"""The exits to MCP clients: no error brings a text out that is not safe."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from mcp import MCPError
from mcp.server.context import HandlerResult, ServerRequestContext
from mcp.types import INTERNAL_ERROR, INVALID_PARAMS
from pydantic import SecretStr, TypeAdapter, ValidationError

from tests.server.conftest import Connect
from tests.support.world import World
from tp_mcp.redaction import Redactor
from tp_mcp.server import resources
from tp_mcp.server.outgoing import INTERNAL_FAILURE, SafeErrors

SAFE_ERRORS = SafeErrors(lambda: Redactor((SecretStr("hunter2000"),)))
REQUEST = cast("ServerRequestContext[Any, Any]", SimpleNamespace(method="tasks/get"))


async def test_an_error_of_the_protocol_shows_no_secret() -> None:
    async def fails(_: ServerRequestContext[Any, Any]) -> HandlerResult:
        raise MCPError(INVALID_PARAMS, "hunter\x1b[0m2000 is no task", {"uri": "tp://inbox"})

    with pytest.raises(MCPError) as refused:
        await SAFE_ERRORS(REQUEST, fails)
    error = refused.value
    assert (error.code, error.message, error.data) == (INVALID_PARAMS, "[redacted] is no task", {"uri": "tp://inbox"})


async def test_the_words_of_an_unexpected_error_go_to_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(_: ServerRequestContext[Any, Any]) -> HandlerResult:
        raise RuntimeError("words that may hold anything")

    with pytest.raises(MCPError) as refused:
        await SAFE_ERRORS(REQUEST, fails)
    assert (refused.value.code, refused.value.message) == (INTERNAL_ERROR, INTERNAL_FAILURE)
    assert "words that may hold anything" in caplog.text


async def test_parameters_that_do_not_fit_are_left_to_the_sdk() -> None:
    async def fails(_: ServerRequestContext[Any, Any]) -> HandlerResult:
        TypeAdapter(int).validate_python("hunter2000")
        return {}

    with pytest.raises(ValidationError):
        await SAFE_ERRORS(REQUEST, fails)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_an_unexpected_error_of_a_real_server_does_not_reach_its_client(
    world: World, connect: Connect, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        raise RuntimeError(world.simulator.state.users["demo"].password)

    monkeypatch.setattr(resources, "listed_resources", fails)
    async with connect(mode=mode) as chat:
        with pytest.raises(MCPError) as refused:
            await chat.client.list_resources()
    assert refused.value.message == INTERNAL_FAILURE
