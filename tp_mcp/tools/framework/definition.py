"""What every tool is made of: its definition, its arguments, and what it may use when it is called."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError, ValidationInfo, field_validator

from tp_mcp.access.audit_log import new_call_id
from tp_mcp.results.document import Document
from tp_mcp.results.limits import TYPICAL_CHARACTERS
from tp_mcp.tools.framework.argument_errors import argument_error
from tp_mcp.tools.framework.audit_trail import audited
from tp_mcp.tools.framework.questions import Asker
from tp_mcp.tools.framework.services import Services
from tp_mcp.watch.delivery.inbox import Visit
from tp_mcp.watch.delivery.waiting import Awaited, Report
from tp_mcp.watch.model.watch import Owner, Watch

TEXT_MAX_CHARACTERS = 10_000
"""Longest text in an argument, where nothing shorter is said."""

_LEFT_OUT = frozenset(
    {
        "$ref",
        "additionalProperties",
        "examples",
        "maxItems",
        "maxLength",
        "minItems",
        "minLength",
        "propertyNames",
        "title",
    }
)
_LEFT_OUT_IF_EMPTY = frozenset({"default", "exclusiveMinimum", "minimum"})
"""Zero and less say nothing of a number that counts something, and no default says nothing at all."""


class ToolArguments(BaseModel):
    """The arguments of a tool. What is not named here is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_max_length=TEXT_MAX_CHARACTERS)

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
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool.

    Attributes:
        owner: who calls, and in which conversation.
        visit: what the conversation's inbox knows of this call.
        services: what the tool may use.
        report: tells the client how the watches that are waited for stand; does nothing where it did not ask to be
            told.
        follows: the ended watch whose chain this call carries on; None for a call of a client.
        asker: asks the client's user; None where that cannot be done.
        id: what the audit log's lines of this call have in common.
        detached: nothing waits within the call, whatever it asks for: its result may come later, as a task.
        awaits: what the call would wait for; the tool adds it.

    """

    owner: Owner
    visit: Visit
    services: Services
    report: Report
    follows: Watch | None = None
    asker: Asker | None = None
    id: str = field(default_factory=new_call_id)
    detached: bool = False
    awaits: list[Awaited] = field(default_factory=list)


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
        awaits: what it begins, or waits for, ends later: a client that takes tasks may get its result as one.
        check: for a tool that a chain may call: everything that refuses it before it is sent, with the names of the
            arguments that are stand-ins because their values are not known yet. Sends nothing.
        typical_characters: what its result is written for; what is more is kept, and can be read by its handle.
        likely: for such a tool, arguments that are well formed, to stand in for those.

    """

    name: str
    title: str
    description: str
    arguments: type[Arguments]
    run: Callable[[Arguments, Call], Awaitable[Document]]
    read_only: bool
    destructive: bool = False
    idempotent: bool = False
    awaits: bool = False
    check: Callable[[Arguments, Call, frozenset[str]], Awaitable[None]] | None = None
    typical_characters: int = TYPICAL_CHARACTERS
    likely: Mapping[str, JsonValue] = field(default_factory=dict)

    async def call(self, raw: dict[str, Any], call: Call) -> Document:
        """Check the arguments and do the work.

        Raises:
            InvalidArgumentError: the arguments are not what the tool takes; names the argument, what was given and
                what is allowed.
            TpMcpError: what else the tool raises.

        """
        if not self.destructive:
            return await self.run(self.parse(raw), call)
        return await self.perform(raw, call, self.run, lambda document: document.conclusion)

    async def perform(
        self,
        raw: dict[str, Any],
        call: Call,
        work: Callable[[Arguments, Call], Awaitable[Result]],
        summary: Callable[[Result], str],
    ) -> Result:
        """Check the arguments and do a part of the tool's work; the audit log gets its first and last line.

        Args:
            raw: the arguments as they came.
            call: the call.
            work: does the work.
            summary: returns its outcome in a sentence.

        Raises:
            InvalidArgumentError: the arguments are not what the tool takes.
            TpMcpError: what the work raises.

        """
        trail = call.services.access.trail(call.owner, self.name, call.id)
        return await audited(trail, raw, lambda: work(self.parse(raw), call), summary)

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
        """Return the JSON schema of the arguments in the form that every client can read.

        Without `$ref`, `null`, `additionalProperties`, lengths and examples: some clients cannot convert them, and each
        conversation pays for the rest. `parse` checks everything.
        """
        schema = self.arguments.model_json_schema()
        plain = _plain(schema, schema.pop("$defs", {}))
        del plain["description"]
        return plain


def _plain(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, JsonValue]:
    """Return a schema with the definitions in place of their references, without what `schema` leaves out."""
    # An argument without a value is left out of the call, so that nobody has to write null.
    kinds = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
    if len(kinds) == 1:
        schema = {**kinds[0], **{name: value for name, value in schema.items() if name != "anyOf"}}
    if "$ref" in schema:
        schema = {**definitions[schema["$ref"].rpartition("/")[2]], **schema}
    plain: dict[str, JsonValue] = {}
    for name, value in schema.items():
        if name in _LEFT_OUT or (name in _LEFT_OUT_IF_EMPTY and not value):
            continue
        match name:
            case "properties":
                plain[name] = {key: _plain(each, definitions) for key, each in value.items()}
            case "items":
                plain[name] = _plain(value, definitions)
            case "anyOf":
                plain[name] = [_plain(each, definitions) for each in kinds]
            case _:
                plain[name] = value
    return plain
