"""The parts of a connector manifest, as frozen models.

The format is Forge's, its server-side part (`protocol: http`). A key that is not known here is kept and reported by
`unknown_keys`, never refused: Forge ignores what it does not know, and so does this server.

`Mapping` and `tuple` are used throughout so that nothing in a loaded manifest is changed by accident.
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
    Strict,
    StrictBool,
    StrictInt,
    StrictStr,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from tp_mcp.connectors.findings import Finding, nearest_words

# JSON has no infinity: what could not be written down and read again is refused.
JsonNumber: TypeAlias = Annotated[float, Strict(), AllowInfNan(False)]
JsonScalar: TypeAlias = StrictBool | StrictInt | JsonNumber | StrictStr
Identifier: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$")]
SemanticVersion: TypeAlias = Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$")]


class ManifestModel(BaseModel):
    """What all parts of a manifest have in common: frozen, and unknown keys kept to be reported."""

    # The models are built on first use: a server that answers first must not pay for them while it starts.
    model_config = ConfigDict(
        frozen=True, extra="allow", validate_by_name=True, validate_by_alias=True, defer_build=True
    )


class Match(ManifestModel):
    """A condition on a polled document: the value at `path` and exactly one operator.

    `tp_mcp.connectors.match` says how each operator compares.

    Attributes:
        path: dotted path (`per_device.0.status`) or JMESPath expression.
        equals: the value is this one, of the same JSON type; a template in it is filled when the watch is made.
        in_: the value is one of these (`in` in a manifest); templates as in `equals`.
        matches: the value is a text in which this regular expression is found; never a template.
        exists: whether there is a value that is not null.
        gte: the value is a number, and this one or more; never a template.

    """

    path: Annotated[str, StringConstraints(min_length=1)]
    equals: JsonScalar | None = None
    in_: Annotated[tuple[JsonScalar, ...], Field(min_length=1)] | None = Field(default=None, alias="in")
    matches: Annotated[StrictStr, StringConstraints(min_length=1)] | None = None
    exists: StrictBool | None = None
    gte: JsonNumber | None = None

    @classmethod
    def operators(cls) -> dict[str, str]:
        """Return the operators that a match may have: the name in a manifest by the name of the field."""
        return {name: field.alias or name for name, field in cls.model_fields.items() if name != "path"}

    @property
    def operator(self) -> str:
        """The name of the field of the one operator that this match has."""
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
                "a match has exactly one of {allowed}, and never null, which is what a missing path gives; "
                "this one has {given}",
                {"allowed": ", ".join(names.values()), "given": " and ".join(names[name] for name in given) or "none"},
            )
        return self


class FollowUp(ManifestModel):
    """What happens when a watch ends: a message to the conversation, or a further tool call.

    Attributes:
        mode: `chat` (needs `message`) or `tool` (needs `tool`).
        message: a template text.
        tool: name of the tool to call.
        args: its arguments; templates are filled when the watch ends.

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
    """What a watch says while its job is under way.

    Attributes:
        show: whether it says anything.
        message: a template text, filled after each poll.

    """

    show: bool = True
    message: str = ""


class AsyncBlock(ManifestModel):
    """How a tool that starts a long job is watched to the job's end.

    Attributes:
        poll: name of the tool that reads the job's state, in the same manifest.
        poll_args: its arguments; templates over `args`, `result` and `settings`.
        done_match: the match that ends the watch as done.
        fail_match: the match that ends the watch as failed; Forge has none and ignores the key.
        interval_sec: seconds between two polls.
        timeout_sec: seconds after which the watch gives up.
        max_polls: number of polls after which it gives up; None for no such limit.
        stalled_after_sec: seconds without a sign of life after which the job counts as stalled; Forge ignores the key.
        not_started_after_sec: seconds after which a job that nothing picked up is said not to have started; Forge
            ignores the key.
        on_done: what happens when it is done.
        on_fail: what happens when it failed or the watch gave up.
        progress: what is said meanwhile.

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
    """An HTTP request; every text in it may hold templates over `settings` and `args`.

    Attributes:
        body: JSON; None for none.
        body_form: a form's fields, or one template that stands for all of them.
        capture_response_headers: names of headers of the answer that are shown before its body.

    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    url: str
    query: Mapping[str, JsonValue] = Field(default_factory=dict)
    headers: Mapping[str, str] = Field(default_factory=dict)
    body: JsonValue = None
    body_form: Mapping[str, JsonValue] | StrictStr | None = None
    capture_response_headers: tuple[str, ...] = ()


class Parameter(ManifestModel):
    """One parameter of a tool."""

    type: Literal["string", "number", "integer", "boolean", "json", "select"]
    required: bool = False
    default: JsonValue = None
    description: str = ""
    options: tuple[JsonValue, ...] = ()
    url_encoding: Literal["none"] | None = None


class ToolManifest(ManifestModel):
    """One tool: its parameters, its request, and how its job is watched.

    Attributes:
        destructive: whether it changes the world.
        items_path: dotted path of the list of items in the answer; it becomes the whole answer.
        response_fields: dotted paths of what is kept of the answer, or of each of its items.
        timeout_ms: limit for the request, in milliseconds.
        async_block: `async` in a manifest; None for a tool that starts nothing long.

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
    """One setting that the user of the connector fills in.

    Attributes:
        fields: for type `instances`, the settings of each instance.

    """

    type: Literal["string", "secret", "select", "boolean", "number", "json", "instances"]
    label: str = ""
    description: str = ""
    required: bool = False
    default: JsonValue = None
    options: tuple[JsonValue, ...] = ()
    fields: Mapping[Identifier, "Setting"] | None = None


class Auth(ManifestModel):
    """A log-in that is done for every request; without one each request carries its own headers.

    Every text may hold templates over `settings`.

    Attributes:
        username: for `basic`.
        password: for `basic`.
        exchange_url: for `bearer-token-exchange`: where the token for the requests comes from.
        exchange_method: POST where it is not given.
        api_token: what is exchanged; sent as `Bearer` where `exchange_auth_header` is not given.
        exchange_headers: further headers of the exchange.
        exchange_auth_header: the whole `Authorization` header of the exchange.
        bearer_path: dotted path of the token in the answer of the exchange.
        expires_path: dotted path of how long it lives: seconds, or milliseconds where the path says so.

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
    """Options of every request."""

    verify_tls: bool = True


class ConnectionTest(ManifestModel):
    """The request that shows whether the settings work.

    Attributes:
        ok_template: what is said when it works; `{{field}}` is a field of the answer.
        timeout_ms: limit for the request, in milliseconds.

    """

    description: str = ""
    request: Request
    ok_template: str = ""
    timeout_ms: PositiveInt | None = None


class Manifest(ManifestModel):
    """A whole connector manifest."""

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


def unknown_keys(model: ManifestModel, path: str = "") -> Iterator[Finding]:
    """Yield each key that the manifest has and the format, as it is known here, has not."""
    names = {field.alias or name for name, field in type(model).model_fields.items()}
    for key in model.model_extra or {}:
        yield Finding(f"{path}{key}", f"is not a key of the format, and is ignored{nearest_words(key, names)}")
    for name, field in type(model).model_fields.items():
        yield from _unknown_below(getattr(model, name), f"{path}{field.alias or name}.")


def _unknown_below(value: object, path: str) -> Iterator[Finding]:
    if isinstance(value, ManifestModel):
        yield from unknown_keys(value, path)
    elif isinstance(value, Mapping):
        for key, below in value.items():
            yield from _unknown_below(below, f"{path}{key}.")
