"""What is sent: templates, dropped keys, encoding, and that no argument leads a request elsewhere."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.connectors.runner.conftest import Server
from tp_mcp.connectors.manifest import Parameter, Request
from tp_mcp.connectors.runner.request_builder import prepared
from tp_mcp.errors import ConfigurationError, InputError, InvalidArgumentError, UnsafeArgumentError

TEXT = {"type": "string"}
RAW = {"type": "string", "url_encoding": "none"}
EVERYTHING = {
    "text": TEXT,
    "number": {"type": "integer"},
    "flag": {"type": "boolean"},
    "list": {"type": "json"},
    "left_out": TEXT,
}
GIVEN: dict[str, Any] = {"text": "a b&c=ä", "number": 3, "flag": True, "list": [1, {"x": None}]}


async def test_a_value_that_is_wholly_one_template_keeps_its_type_in_a_body(server: Server) -> None:
    body: dict[str, Any] = {name: f"{{args.{name}}}" for name in EVERYTHING}
    body |= {"inside": "<{args.number}/{args.flag}/{args.list}>", "fixed": 7, "half": "{args.text}{args.left_out}"}
    request = {"method": "POST", "body": {**body, "nested": {"x": ["{args.left_out}", "{args.number}"]}}}
    async with server.tool(request, parameters=EVERYTHING) as runner:
        await runner.run("call", GIVEN)
    assert json.loads(server.last.content) == {
        **GIVEN,
        "inside": '<3/true/[1, {"x": null}]>',
        "fixed": 7,
        "nested": {"x": [3]},
    }
    assert server.last.headers["content-type"] == "application/json"


async def test_an_argument_that_was_left_out_drops_its_key_from_a_query(server: Server) -> None:
    query = {name: f"{{args.{name}}}" for name in EVERYTHING} | {"q": "name:{args.left_out}", "fixed": "x y"}
    async with server.tool({"query": query}, parameters=EVERYTHING) as runner:
        await runner.run("call", GIVEN | {"left_out": None})
    assert server.last.url.raw_path == (
        b"/a?fixed=x%20y&flag=true&list=%5B1%2C%20%7B%22x%22%3A%20null%7D%5D&number=3&text=a%20b%26c%3D%C3%A4"
    )


async def test_a_query_is_added_to_the_one_that_the_url_has(server: Server) -> None:
    request = {"url": "{settings.base_url}/a?tree=jobs&start={args.text}", "query": {"n": "{args.number}"}}
    async with server.tool(request, parameters=EVERYTHING) as runner:
        await runner.run("call", {"text": "5&x=1", "number": 2})
    assert server.last.url.raw_path == b"/a?tree=jobs&start=5%26x%3D1&n=2"


async def test_a_default_stands_in_for_what_was_left_out(server: Server) -> None:
    parameters = {"limit": {"type": "integer", "default": 25}}
    async with server.tool({"query": {"limit": "{args.limit}"}}, parameters=parameters) as runner:
        await runner.run("call", {})
    assert server.last.url.query == b"limit=25"


async def test_a_form_is_fields_or_one_argument_that_gives_them(server: Server) -> None:
    parameters: dict[str, Any] = {"fields": {"type": "json", "default": {}}, "name": TEXT}
    form = {"name": "{args.name}", "left": "{args.fields.nope}", "x": 1}
    async with server.tool({"method": "POST", "body_form": form}, parameters=parameters) as runner:
        await runner.run("call", {"name": "a&b c"})
    assert (server.last.content, server.last.headers["content-type"]) == (
        b"name=a%26b%20c&x=1",
        "application/x-www-form-urlencoded",
    )
    async with server.tool({"method": "POST", "body_form": "{args.fields}"}, parameters=parameters) as runner:
        await runner.run("call", {"fields": '{"BRANCH": "main", "DEPLOY": true}'})
        assert server.last.content == b"BRANCH=main&DEPLOY=true"
        await runner.run("call", {})
        assert server.last.content == b""
        with pytest.raises(InvalidArgumentError, match="must be an object"):
            await runner.run("call", {"fields": [1]})
    del parameters["fields"]["default"]
    async with server.tool({"method": "POST", "body_form": "{args.fields}"}, parameters=parameters) as runner:
        await runner.run("call", {})
        assert server.last.content == b""


async def test_a_body_of_which_nothing_is_left_is_not_sent(server: Server) -> None:
    async with server.tool({"method": "POST", "body": "{args.left_out}"}, parameters=EVERYTHING) as runner:
        await runner.run("call", {})
    assert server.last.content == b""
    assert "content-type" not in server.last.headers


async def test_each_request_carries_its_own_headers(server: Server) -> None:
    headers = {"Authorization": "JWT {settings.token}", "X-Floor": "{args.number}", "X-Left": "{args.left_out}"}
    async with server.tool({"headers": headers}, parameters=EVERYTHING) as runner:
        await runner.run("call", {"number": 3})
    assert server.last.headers["authorization"] == "JWT s3cret-token"
    assert server.last.headers["x-floor"] == "3"
    assert "x-left" not in server.last.headers


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\x00", "ä", "\u2028"])
async def test_no_argument_adds_a_header(server: Server, value: str) -> None:
    async with server.tool({"headers": {"X-A": "{args.text}"}}, parameters={"text": TEXT}) as runner:
        with pytest.raises(InvalidArgumentError, match="header X-A"):
            await runner.run("call", {"text": value})
    assert server.requests == []


HOSTILE = ["..", ".", "%2e%2e", "a/../../b", "../x", "//evil.example", "http://evil.example/", "@evil.example", "a?x=1"]
HOSTILE += ["a#x", "a\\b", "a\r\nHost: evil", "\x00", " ", "", "ä/ö", "{settings.token}", "x" * 3_000]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("parameter", [TEXT, RAW], ids=["encoded", "raw"])
async def test_no_argument_in_a_path_leads_a_request_elsewhere(
    server: Server, value: str, parameter: dict[str, Any]
) -> None:
    request = {"url": "{settings.base_url}/jobs/{args.text}/end"}
    async with server.tool(request, parameters={"text": parameter}) as runner:
        try:
            await runner.run("call", {"text": value})
        except InputError:
            assert server.requests == []
            return
    url = server.last.url
    assert (url.scheme, url.host, url.port) == ("http", "lift.example", None)
    assert url.raw_path.startswith(b"/jobs/")
    assert url.raw_path.endswith(b"/end")
    if parameter is TEXT:
        assert url.raw_path.count(b"/") == 3
    assert b"s3cret" not in url.raw_path
    assert url.query == b""


@pytest.mark.parametrize(
    ("value", "parameter"),
    [
        *((value, RAW) for value in ("..", ".", "%2e%2e", "a/../b", "%2F..%2F")),
        *((value, TEXT) for value in ("..", ".", "a/../b", "..\\x")),
    ],
)
async def test_a_path_that_would_lead_upwards_is_refused(server: Server, value: str, parameter: dict[str, Any]) -> None:
    async with server.tool({"url": "{settings.base_url}/x/{args.p}"}, parameters={"p": parameter}) as runner:
        with pytest.raises(UnsafeArgumentError, match=r"'\.' or '\.\.'"):
            await runner.run("call", {"p": value})


async def test_an_empty_argument_in_a_path_is_refused_because_it_would_mean_all(server: Server) -> None:
    request = {"method": "DELETE", "url": "{settings.base_url}/items/{args.p}?q={args.q}"}
    async with server.tool(request, parameters={"p": TEXT, "q": TEXT}) as runner:
        with pytest.raises(UnsafeArgumentError, match="p is empty"):
            await runner.run("call", {"p": "", "q": "x"})
        await runner.run("call", {"p": "x", "q": ""})
    assert [request.url.raw_path for request in server.requests] == [b"/items/x?q="]


async def test_a_raw_argument_may_have_slashes_and_what_is_encoded_already(server: Server) -> None:
    async with server.tool({"url": "{settings.base_url}/{args.p}/api/json"}, parameters={"p": RAW}) as runner:
        await runner.run("call", {"p": "job/team-x/job/deploy%20app"})
    assert server.last.url.raw_path == b"/job/team-x/job/deploy%20app/api/json"


@pytest.mark.parametrize("url", ["https://{args.p}/x", "{settings.base_url}{args.p}", "http://a:{args.p}/", "{args.p}"])
async def test_no_argument_chooses_the_host(server: Server, url: str) -> None:
    request = Request(method="GET", url=url)
    roots = {"settings": {"base_url": "http://lift.example"}, "args": {"p": ".evil.example"}}
    with pytest.raises((UnsafeArgumentError, ConfigurationError), match="host"):
        prepared(request, {"p": Parameter(type="string")}, roots)


@pytest.mark.parametrize(
    "base_url",
    [
        "lift.example",
        "ftp://x",
        "http://",
        "http://a b",
        "http://x\\y",
        "http://x\n",
        "http://x#",
        "http://u:p@x",
        "",
        "http://[x",
    ],
)
def test_an_address_that_cannot_be_used_is_the_user_s_to_correct(base_url: str) -> None:
    with pytest.raises(ConfigurationError, match="URL of the request"):
        prepared(Request(method="GET", url="{settings.b}/a"), {}, {"settings": {"b": base_url}, "args": {}})


def test_an_address_without_an_argument_must_not_carry_a_password() -> None:
    with pytest.raises(ConfigurationError, match="user name or password"):
        prepared(Request(method="GET", url="http://u:p@x/a"), {}, {"settings": {}, "args": {}})


async def test_an_argument_that_the_address_needs_cannot_be_left_out(server: Server) -> None:
    async with server.tool({"url": "{settings.base_url}/{args.text}"}, parameters={"text": TEXT}) as runner:
        with pytest.raises(InvalidArgumentError, match="in the request's URL is missing"):
            await runner.run("call", {})
    assert server.requests == []


@pytest.mark.parametrize("where", ["body", "body_form", "query", "headers", "url"])
async def test_half_a_character_is_refused_wherever_it_is_put(server: Server, where: str) -> None:
    request: dict[str, Any] = {"method": "POST", where: {"x": "{args.text}"}}
    if where == "url":
        request["url"] = "{settings.base_url}/{args.text}"
    async with server.tool(request, parameters={"text": TEXT}) as runner:
        with pytest.raises(InvalidArgumentError):
            await runner.run("call", {"text": "a\ud800"})
    assert server.requests == []


async def test_an_argument_that_is_nested_without_end_is_refused(server: Server) -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    request = {"method": "POST", "body": {"x": "{args.data}"}}
    async with server.tool(request, parameters={"data": {"type": "json"}}) as runner:
        with pytest.raises(InvalidArgumentError, match="nested too deeply"):
            await runner.run("call", {"data": deep})


async def test_what_an_argument_says_is_never_read_as_a_template(server: Server) -> None:
    request = {"method": "POST", "body": {"x": "{args.text}", "y": "<{args.text}>"}, "query": {"q": "{args.text}"}}
    async with server.tool(request, parameters={"text": TEXT}) as runner:
        await runner.run("call", {"text": "{settings.token}"})
    assert server.bodies() == [{"x": "{settings.token}", "y": "<{settings.token}>"}]
    assert server.last.url.query == b"q=%7Bsettings.token%7D"


@given(st.text(max_size=40), st.booleans())
def test_whatever_is_put_in_a_url_the_host_and_the_path_around_it_stay(value: str, raw: bool) -> None:
    parameter = Parameter(type="string", url_encoding="none" if raw else None)
    request = Request(method="GET", url="{settings.b}/jobs/{args.p}/end", query={"q": "{args.p}"})
    try:
        made = prepared(request, {"p": parameter}, {"settings": {"b": "http://lift.example"}, "args": {"p": value}})
    except InputError:
        return
    path, _, query = made.url.removeprefix("http://lift.example").partition("?")
    assert made.url.startswith("http://lift.example/jobs/")
    assert path.endswith("/end")
    assert raw or path.count("/") == 3
    assert query.startswith("q=")
    assert "&" not in query
    assert made.url.isascii()
    assert made.url.isprintable()
