"""Models of a connector manifest.

The format is the server-side part of Forge's (`protocol: http`). Unknown keys are kept and reported by `unknown_keys`,
never refused, because Forge ignores them too.

`Mapping` and `tuple` are used throughout, so that a loaded manifest cannot be changed by accident.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import (
    AllowInfNan,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    Strict,
    StrictBool,
    StrictInt,
    StrictStr,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from tp_mcp.connectors.findings import Finding, nearest_words

# JSON has no infinity: a value that cannot be serialised is refused.
JsonNumber: TypeAlias = Annotated[float, Strict(), AllowInfNan(False)]
JsonScalar: TypeAlias = StrictBool | StrictInt | JsonNumber | StrictStr
Identifier: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$")]
SemanticVersion: TypeAlias = Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$")]


INSTANCES = "instances"


class ManifestModel(BaseModel):
    """Base of all models: frozen; unknown keys are kept and reported."""

    # Models are built on first use, to keep them out of the server's start.
    model_config = ConfigDict(
        frozen=True, extra="allow", validate_by_name=True, validate_by_alias=True, defer_build=True
    )


class Match(ManifestModel):
    """A condition on a polled document: the value at `path` and exactly one operator.

    `tp_mcp.connectors.match` defines the comparisons.

    Attributes:
        path: dotted path (`per_device.0.status`) or JMESPath expression.
        equals: equal value of the same JSON type; its templates are filled when the watch is created.
        in_: allowed values (`in` in a manifest); templates as in `equals`.
        matches: regular expression that must be found in the text; never a template.
        exists: whether the value must be present and not null.
        gte: lower bound of a number; never a template.
    """

    path: Annotated[str, StringConstraints(min_length=1)]
    equals: JsonScalar | None = None
    in_: Annotated[tuple[JsonScalar, ...], Field(min_length=1)] | None = Field(default=None, alias="in")
    matches: Annotated[StrictStr, StringConstraints(min_length=1)] | None = None
    exists: StrictBool | None = None
    gte: JsonNumber | None = None

    @classmethod
    def operators(cls) -> dict[str, str]:
        """Return the operators: their names in a manifest, by field name."""
        return {name: field.alias or name for name, field in cls.model_fields.items() if name != "path"}

    @property
    def operator(self) -> str:
        """Field name of this match's operator."""
        return self._given()[0]

    def _given(self) -> list[str]:
        return [name for name in self.operators() if getattr(self, name) is not None]

    @model_validator(mode="after")
    def _has_one_operator(self) -> Self:
        given = self._given()
        if len(given) != 1:
            names = self.operators()
            raise PydanticCustomError(
                "match_operator",
                "a match has exactly one of {allowed}, and never null, which is the value of a missing path; "
                "this one has {given}",
                {"allowed": ", ".join(names.values()), "given": " and ".join(names[name] for name in given) or "none"},
            )
        return self


class FollowUp(ManifestModel):
    """The action at the end of a watch: a message to the conversation, or a tool call.

    Attributes:
        mode: `chat` (needs `message`) or `tool` (needs `tool`).
        message: template text.
        args: arguments of the call; templates are filled at the end of the watch.
    """

    mode: Literal["chat", "tool"]
    message: str = ""
    tool: str = ""
    args: Mapping[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_what_its_mode_needs(self) -> Self:
        if self.mode == "chat" and not self.message.strip():
            raise PydanticCustomError("follow_up_message", "mode chat needs a message")
        if self.mode == "tool" and not self.tool:
            raise PydanticCustomError("follow_up_tool", "mode tool needs the name of a tool")
        return self


class ProgressMessage(ManifestModel):
    """The progress message of a running job: template text that is filled after each poll."""

    show: bool = True
    message: str = ""


class AsyncBlock(ManifestModel):
    """The watch on a job that a tool starts.

    Attributes:
        poll: name of the tool that reads the job's state, in the same manifest.
        poll_args: its arguments; templates over `args`, `result` and `settings`.
        fail_match: match that ends the watch as failed; Forge ignores this key.
        stalled_after_sec: time without a sign of life after which the job counts as stalled, in seconds; Forge ignores
            this key.
        not_started_after_sec: time after which a job that no worker picked up is reported as not started, in seconds;
            Forge ignores this key.
        on_fail: action when the job failed or the watch reached a limit.
    """

    poll: str
    poll_args: Mapping[str, JsonValue] = Field(default_factory=dict)
    done_match: Match
    fail_match: Match | None = None
    interval_sec: PositiveFloat
    timeout_sec: PositiveFloat
    max_polls: PositiveInt | None = None
    stalled_after_sec: PositiveFloat | None = None
    not_started_after_sec: PositiveFloat | None = None
    on_done: FollowUp | None = None
    on_fail: FollowUp | None = None
    progress: ProgressMessage | None = None


class Request(ManifestModel):
    """An HTTP request; its texts may contain templates over `settings` and `args`.

    Attributes:
        body_form: fields of a form, or one template for all of them.
        capture_response_headers: names of answer headers that are shown before the body.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    url: str
    query: Mapping[str, JsonValue] = Field(default_factory=dict)
    headers: Mapping[str, str] = Field(default_factory=dict)
    body: JsonValue = None
    body_form: Mapping[str, JsonValue] | StrictStr | None = None
    capture_response_headers: tuple[str, ...] = ()


class Parameter(ManifestModel):
    """A parameter of a tool."""

    type: Literal["string", "number", "integer", "boolean", "json", "select"]
    required: bool = False
    default: JsonValue = None
    description: str = ""
    options: tuple[JsonValue, ...] = ()
    url_encoding: Literal["none"] | None = None


class ToolManifest(ManifestModel):
    """A tool: its parameters, its request and the watch on its job.

    Attributes:
        destructive: whether the tool changes anything.
        items_path: dotted path of the list of items in the answer, which replaces the answer.
        response_fields: dotted paths of the fields that are kept, in the answer or in each item.
        async_block: watch on the job (`async` in a manifest); None if the tool starts no job.
    """

    description: Annotated[str, StringConstraints(min_length=1)]
    protocol: Literal["http"]
    destructive: bool = False
    parameters: Mapping[Identifier, Parameter] = Field(default_factory=dict)
    request: Request
    returns: JsonValue = None
    items_path: str | None = None
    response_fields: tuple[StrictStr, ...] | None = None
    timeout_ms: PositiveInt | None = None
    async_block: AsyncBlock | None = Field(default=None, alias="async")


class Setting(ManifestModel):
    """A setting that the user of the connector provides; `fields` are those of each instance, for type `instances`."""

    type: Literal["string", "secret", "select", "boolean", "number", "json", "instances"]
    label: str = ""
    description: str = ""
    required: bool = False
    default: JsonValue = None
    options: tuple[JsonValue, ...] = ()
    fields: Mapping[Identifier, "Setting"] | None = None


class Auth(ManifestModel):
    """A login for each request; without one, requests carry their own headers.

    All texts may contain templates over `settings`.

    Attributes:
        exchange_url: URL that returns the token for requests, for `bearer-token-exchange`.
        api_token: token to exchange, sent as `Bearer` unless `exchange_auth_header` is set.
        exchange_auth_header: complete `Authorization` header of the exchange.
        bearer_path: dotted path of the token in the exchange's answer.
        expires_path: dotted path of its lifetime, in seconds, or in milliseconds if the path says so.
    """

    type: Literal["basic", "bearer-token-exchange"]
    username: str | None = None
    password: str | None = None
    exchange_url: str | None = None
    exchange_method: Literal["GET", "POST"] = "POST"
    api_token: str | None = None
    exchange_headers: Mapping[str, str] = Field(default_factory=dict)
    exchange_auth_header: str | None = None
    bearer_path: str | None = None
    expires_path: str | None = None

    @model_validator(mode="after")
    def _has_what_its_type_needs(self) -> Self:
        needed = ("username", "password") if self.type == "basic" else ("exchange_url", "bearer_path")
        missing = [name for name in needed if not getattr(self, name)]
        if missing:
            raise PydanticCustomError(
                "auth_keys", "type {type} needs {missing}", {"type": self.type, "missing": " and ".join(missing)}
            )
        return self


class HttpOptions(ManifestModel):
    """Options of all requests."""

    verify_tls: bool = True


class ConnectionTest(ManifestModel):
    """A request that tests the settings; in `ok_template`, `{{field}}` is a field of the answer."""

    description: str = ""
    request: Request
    ok_template: str = ""
    timeout_ms: PositiveInt | None = None


class Manifest(ManifestModel):
    """A complete connector manifest."""

    id: Identifier
    name: Annotated[str, StringConstraints(min_length=1)]
    icon: str = ""
    version: SemanticVersion
    author: str = ""
    category: Literal["connector"]
    mode: Literal["server-side"]
    min_forge_version: SemanticVersion | None = None
    description: str = ""
    catalog_summary: str = ""
    settings: Mapping[Identifier, Setting] = Field(default_factory=dict)
    auth: Auth | None = None
    http: HttpOptions = HttpOptions()
    test: ConnectionTest | None = None
    tools: Annotated[Mapping[Identifier, ToolManifest], Field(min_length=1)]


_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "json": (dict, list, str, int, float, bool),
    "select": (str, int, float, bool),
    "secret": (str, SecretStr),
    INSTANCES: (list,),
}


def is_of(kind: str, value: object) -> bool:
    """Return whether a value has a type of the format."""
    # In Python, but not in JSON, bool is a kind of int.
    if isinstance(value, bool) and bool not in _KINDS[kind]:
        return False
    return isinstance(value, _KINDS[kind])


def unknown_keys(model: ManifestModel, path: str = "") -> Iterator[Finding]:
    """Yield the keys of a manifest that are unknown here."""
    names = {field.alias or name for name, field in type(model).model_fields.items()}
    for key in model.model_extra or {}:
        yield Finding(f"{path}{key}", f"is not a key of the format and is ignored{nearest_words(key, names)}")
    for name, field in type(model).model_fields.items():
        yield from _unknown_below(getattr(model, name), f"{path}{field.alias or name}.")


def _unknown_below(value: object, path: str) -> Iterator[Finding]:
    if isinstance(value, ManifestModel):
        yield from unknown_keys(value, path)
    elif isinstance(value, Mapping):
        for key, below in value.items():
            yield from _unknown_below(below, f"{path}{key}.")
