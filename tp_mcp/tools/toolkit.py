"""What every tool is made of: its definition, its arguments, and what it may use when it is called."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError, ValidationInfo, field_validator

from tp_mcp.errors import InvalidArgumentError
from tp_mcp.results.document import Document
from tp_mcp.tools.services import Services
from tp_mcp.tools.wording import argument_error
from tp_mcp.watch.inbox import Visit
from tp_mcp.watch.owner import Owner
from tp_mcp.watch.states import Watch


class ToolArguments(BaseModel):
    """The arguments of a tool. What is not named here is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_max_length=10_000)

    @field_validator("*", mode="before")
    @classmethod
    def _lists_written_as_text(cls, value: object, info: ValidationInfo) -> object:
        # Some clients send a list or an object as its JSON text.
        field = cls.model_fields.get(info.field_name or "")
        if isinstance(value, str) and field is not None and field.annotation is not str and value[:1] in {"[", "{"}:
            try:
                return json.loads(value)
            except (ValueError, RecursionError):
                return value
        return value


Arguments = TypeVar("Arguments", bound=ToolArguments)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool.

    Attributes:
        owner: who calls, and in which conversation.
        visit: what the conversation's inbox knows of this call.
        services: what the tool may use.
        report: tells the client how a watch that is waited for stands; does nothing where it did not ask to be told.

    """

    owner: Owner
    visit: Visit
    services: Services
    report: Callable[[Watch], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ToolDefinition(Generic[Arguments]):
    """A tool, apart from the protocol that carries it.

    Attributes:
        name: at most 30 characters of `[a-z0-9_]`.
        title: a few words for a person.
        description: everything a model needs to use it; it may see nothing else.
        arguments: the model of its arguments, whose schema is shown.
        run: does the work; raises errors of the project's tree.
        read_only: it changes nothing, so a client need not ask its user.
        destructive: it changes what cannot be changed back.
        idempotent: calling it twice does no more than calling it once.

    """

    name: str
    title: str
    description: str
    arguments: type[Arguments]
    run: Callable[[Arguments, Call], Awaitable[Document]]
    read_only: bool
    destructive: bool = False
    idempotent: bool = False

    async def call(self, raw: dict[str, Any], call: Call) -> Document:
        """Check the arguments and do the work.

        Raises:
            InvalidArgumentError: the arguments are not what the tool takes; names the argument, what was given and
                what is allowed.
            TpMcpError: what else the tool raises.

        """
        return await self.run(self.parse(raw), call)

    def parse(self, raw: dict[str, Any]) -> Arguments:
        """Return the checked arguments.

        Raises:
            InvalidArgumentError: they are not what the tool takes.

        """
        try:
            return self.arguments.model_validate(raw)
        except ValidationError as error:
            raise argument_error(self.name, self.arguments, error) from None

    def schema(self) -> dict[str, JsonValue]:
        """Return the JSON schema of the arguments, without what costs tokens and tells a model nothing."""
        schema = _without_titles(self.arguments.model_json_schema())
        if not isinstance(schema, dict):  # pragma: no cover -- a model's schema is an object
            raise InvalidArgumentError(f"{self.name} has no object schema.")
        schema.pop("description", None)
        return schema


def _without_titles(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {
            key: {name: _without_titles(below) for name, below in inner.items()}
            # A property may be called "title"; only the annotation of that name goes.
            if key == "properties" and isinstance(inner, dict)
            else _without_titles(inner)
            for key, inner in value.items()
            if key != "title"
        }
    if isinstance(value, list):
        return [_without_titles(item) for item in value]
    return value
