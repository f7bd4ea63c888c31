from typing import Any

import pytest
from pydantic import SecretStr

from tests.connectors.runner.conftest import Server
from tp_mcp.connectors.manifest import Manifest, Parameter, Request, Setting, ToolManifest
from tp_mcp.connectors.runner.template_values import SettingValues, checked_arguments
from tp_mcp.errors import ConfigurationError, InvalidArgumentError

PARAMETERS = {
    "text": Parameter(type="string", required=True, description="Some text."),
    "count": Parameter(type="integer", default=5),
    "share": Parameter(type="number"),
    "flag": Parameter(type="boolean"),
    "data": Parameter(type="json"),
    "mode": Parameter(type="select", options=("a", 2)),
}


def test_arguments_are_those_given_and_the_defaults() -> None:
    assert checked_arguments("call", PARAMETERS, {"text": "x", "flag": None}) == {"text": "x", "count": 5}
    given: dict[str, Any] = {"text": "", "count": 0, "share": 0.5, "flag": False, "data": [], "mode": 2}
    assert checked_arguments("call", PARAMETERS, given) == given


@pytest.mark.parametrize(("written", "read"), [(' {"a": 1}', {"a": 1}), ("[1]", [1]), ("[1", "[1"), ("x", "x")])
def test_json_may_be_written_as_text(written: str, read: Any) -> None:
    assert checked_arguments("call", PARAMETERS, {"text": "x", "data": written})["data"] == read


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "call needs text. Some text."),
        ({"text": None}, "call needs text"),
        ({"text": 7}, "text must be of type string"),
        ({"text": "x", "count": 1.5}, "count must be of type integer"),
        ({"text": "x", "count": True}, "count must be of type integer"),
        ({"text": "x", "share": "1"}, "share must be of type number"),
        ({"text": "x", "flag": 1}, "flag must be of type boolean"),
        ({"text": "x", "mode": "b"}, 'mode is not one of its options. Allowed: "a", 2.'),
        ({"txt": "x"}, "call has no argument 'txt' (the nearest is text). It takes: text, count"),
    ],
)
def test_an_argument_that_cannot_be_used_is_told_with_what_would_be_right(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        checked_arguments("call", PARAMETERS, given)
    assert said in str(caught.value)


def test_a_tool_without_parameters_takes_none() -> None:
    with pytest.raises(InvalidArgumentError, match="It takes: none"):
        checked_arguments("call", {}, {"x": 1})


def manifest(**settings: Setting) -> Manifest:
    tools = {"call": ToolManifest(description="x", protocol="http", request=Request(method="GET", url="http://x"))}
    return Manifest(
        id="x", name="x", version="1.0.0", category="connector", mode="server-side", settings=settings, tools=tools
    )


def test_settings_have_defaults_and_secrets_are_kept_apart() -> None:
    values = SettingValues.checked(
        manifest(
            url=Setting(type="string", required=True),
            token=Setting(type="secret"),
            zone=Setting(type="select", options=("a", "b"), default="a"),
            note=Setting(type="string"),
        ),
        {"url": "http://x", "token": "s3cret", "note": ""},
    )
    assert values.plain() == {"url": "http://x", "token": "s3cret", "zone": "a"}
    assert values.public() == {"url": "http://x", "zone": "a"}
    assert [secret.get_secret_value() for secret in values.secrets()] == ["s3cret", "czNjcmV0"]
    assert "s3cret" not in repr(values)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "needs the setting url. Where it is."),
        ({"url": ""}, "needs the setting url"),
        ({"url": 7}, "url must be of type string."),
        ({"url": "x", "zone": "c"}, 'zone must be of type select, one of "a", "b".'),
        ({"ulr": "x"}, "no setting ulr (the nearest is url). It has: url, zone"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told_without_its_value(given: dict[str, Any], said: str) -> None:
    declared = manifest(
        url=Setting(type="string", required=True, description="Where it is."),
        zone=Setting(type="select", options=("a", "b")),
    )
    with pytest.raises(ConfigurationError) as caught:
        SettingValues.checked(declared, given)
    assert said in str(caught.value)


def test_a_connector_without_settings_takes_none() -> None:
    with pytest.raises(ConfigurationError, match="It has: none"):
        SettingValues.checked(manifest(), {"x": 1})


FIELDS = {"name": Setting(type="string"), "url": Setting(type="string", required=True), "key": Setting(type="secret")}
ROWS = [{"name": "prod", "url": "http://p", "key": "k-prod"}, {"url": "http://t"}]


def test_an_instance_is_chosen_by_name_and_the_first_is_the_default() -> None:
    values = SettingValues.checked(manifest(instances=Setting(type="instances", fields=FIELDS)), {"instances": ROWS})
    assert values.plain()["url"] == values.plain("prod")["url"] == "http://p"
    assert values.plain("1") == {"url": "http://t"}
    assert next(values.secrets()).get_secret_value() == "k-prod"
    assert values.public() == {}
    with pytest.raises(InvalidArgumentError, match=r"no instance 'prd' \(the nearest is prod\)\. Instances: prod, 1\."):
        values.plain("prd")


@pytest.mark.parametrize("rows", [[{"name": "prod"}], ["prod"]])
def test_what_an_instance_lacks_is_told_with_its_place(rows: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"needs the setting instances\.0\.url"):
        SettingValues.checked(manifest(instances=Setting(type="instances", fields=FIELDS)), {"instances": rows})


async def test_a_call_names_the_instance_that_it_is_for(server: Server) -> None:
    settings = {"base_url": {"type": "string"}, "all": {"type": "instances", "fields": {"base": {"type": "string"}}}}
    parameters = {"instance": {"type": "string"}}
    runner = server.tool({"url": "{settings.base}/x"}, settings=settings, parameters=parameters)
    runner._settings = SettingValues({}, {"a": {"base": "http://a"}, "b": {"base": "http://b"}})
    async with runner:
        await runner.run("call", {"instance": "b"})
        await runner.run("call", {})
    assert [request.url.host for request in server.requests] == ["b", "a"]


def test_a_secret_may_be_handed_in_hidden() -> None:
    values = SettingValues.checked(manifest(token=Setting(type="secret")), {"token": SecretStr("s3cret")})
    assert values.plain() == {"token": "s3cret"}
