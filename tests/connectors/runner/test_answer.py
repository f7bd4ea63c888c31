import json
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from tests.connectors.runner.conftest import Server
from tp_mcp.connectors.manifest import Request, ToolManifest
from tp_mcp.connectors.runner.answer import WORDS_MAX_BYTES, RawAnswer, ToolAnswer, redacted, shaped, words_of
from tp_mcp.redaction import Redactor


def tool(**keys: Any) -> ToolManifest:
    return ToolManifest(description="x", protocol="http", request=Request(method="GET", url="http://x"), **keys)


ITEMS = [{"name": "a", "meta": {"href": "u", "size": 1}, "rest": 1}, {"name": "b"}, 7]


@pytest.mark.parametrize(
    ("keys", "value", "expected"),
    [
        ({}, {"a": 1}, {"a": 1}),
        ({"items_path": "data.items"}, {"data": {"items": ITEMS}, "x": 1}, ITEMS),
        ({"items_path": "data.items"}, {"error": "no"}, {"error": "no"}),
        ({"items_path": "data", "response_fields": ["x"]}, {"data": {"x": 1}}, {"data": {"x": 1}}),
        (
            {"items_path": "items", "response_fields": ["name", "meta.href"]},
            {"items": ITEMS},
            [{"name": "a", "meta": {"href": "u"}}, {"name": "b"}, 7],
        ),
        ({"response_fields": ["name"]}, ITEMS, [{"name": "a"}, {"name": "b"}, 7]),
        ({"response_fields": ["meta", "meta.href"]}, ITEMS[0], {"meta": {"href": "u", "size": 1}}),
        ({"response_fields": ["list.x"]}, {"list": [{"x": 1, "y": 2}, {"y": 2}], "z": 1}, {"list": [{"x": 1}, {}]}),
        ({"response_fields": ["x"]}, "text", "text"),
        ({"response_fields": []}, {"x": 1}, {}),
    ],
)
def test_an_answer_is_reduced_to_what_the_tool_shows(keys: dict[str, Any], value: Any, expected: Any) -> None:
    assert shaped(tool(**keys), value) == expected


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b" \n", None),
        (b"plain", "plain"),
        (b"\xff", "\ufffd"),
        (b"[" * 100_000, "[" * 100_000),
    ],
    ids=["json", "empty", "text", "bytes", "nested"],
)
def test_a_body_is_json_or_text_or_nothing(body: bytes, value: Any) -> None:
    assert RawAnswer(200, (), body).value == value


def test_an_answer_reads_as_headers_and_then_the_body() -> None:
    assert ToolAnswer(201, (("Location", "/queue/7"),), None).text() == "Location: /queue/7\n\nnull"
    assert ToolAnswer(200, (), {"a": "ä"}).text() == '{\n  "a": "ä"\n}'
    assert ToolAnswer(200, (), "log").text() == "log"


async def test_named_headers_of_the_answer_are_captured_and_no_others(server: Server) -> None:
    server.answers = [httpx2.Response(201, headers={"Location": "/queue/7", "Set-Cookie": "a=1", "X-B": "2"})]
    async with server.tool({"method": "POST", "capture_response_headers": ["location", "X-Nope"]}) as runner:
        answer = await runner.run("call", {})
    assert (answer.status, answer.headers, answer.value) == (201, (("location", "/queue/7"),), None)


async def test_a_secret_that_comes_back_is_taken_out_of_the_answer(server: Server) -> None:
    def echo(request: httpx2.Request) -> httpx2.Response:
        sent = dict(request.headers)
        body = {"headers": sent, "url": str(request.url), "list": [sent["authorization"]], sent["x-token"]: 1}
        return httpx2.Response(200, json=body, headers={"X-Echo": sent["x-token"]})

    server.answers = [echo]
    request = {
        "headers": {"Authorization": "JWT {settings.token}", "X-Token": "{settings.token}"},
        "query": {"t": "{settings.token}"},
        "capture_response_headers": ["X-Echo"],
    }
    async with server.tool(request) as runner:
        answer = await runner.run("call", {})
    assert "s3cret" in str(server.last.url)
    assert "s3cret" not in answer.text()
    assert "[redacted]" in json.dumps(answer.value)


async def test_a_secret_that_comes_back_is_taken_out_of_an_error(server: Server) -> None:
    server.answers = [httpx2.Response(400, text="bad token s3cret-token\x1b[0m " + "x" * 400)]
    async with server.tool({}) as runner:
        with pytest.raises(Exception, match="status 400") as caught:
            await runner.run("call", {})
    assert "s3cret" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert str(caught.value).count("x") < 310
    assert "(cut)" in str(caught.value)


def test_a_secret_of_digits_is_taken_out_where_it_comes_back_as_a_number() -> None:
    redactor = Redactor((SecretStr("83719462"),))
    assert redacted({"pin": 83719462, "n": 7, "ok": True, "x": 1.5}, redactor) == {
        "pin": "[redacted]",
        "n": 7,
        "ok": True,
        "x": 1.5,
    }


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b" " * 99_000 + b"s3cret-token", "[redacted]"),
        (b"x" * WORDS_MAX_BYTES + b"x", ""),
        (b"", ""),
        (b" <html>no</html>", ""),
        ("a\u202eb\r\nc".encode(), "a b c"),
    ],
    ids=["spaces", "too long", "empty", "a page", "control characters"],
)
def test_what_an_error_repeats_is_one_short_line_without_secrets(body: bytes, said: str) -> None:
    assert words_of(RawAnswer(400, (), body), Redactor((SecretStr("s3cret-token"),))) == said
