"""What a tool is, and what it works with during a call."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import JsonValue, ValidationError

from tp_mcp.access.audit_log import Event, new_call_id
from tp_mcp.access.control import Trail
from tp_mcp.errors import TpMcpError
from tp_mcp.results.document import Document
from tp_mcp.results.limits import TYPICAL_CHARACTERS
from tp_mcp.tools.framework.arguments import ToolArguments, argument_error, schema_of
from tp_mcp.tools.framework.questions import Asker, QuestionForUser
from tp_mcp.tools.framework.services import Services
from tp_mcp.watch.delivery.inbox import Visit
from tp_mcp.watch.delivery.waiting import Awaited, Report
from tp_mcp.watch.model.watch import Owner, Watch

MASKED_ARGUMENTS = frozenset({"command"})
"""Arguments that are not written to the audit log, because they contain a password."""

Arguments = TypeVar("Arguments", bound=ToolArguments)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool.

    Attributes:
        owner: the caller and their conversation.
        visit: the conversation's inbox during this call.
        services: everything that the tool can use.
        report: sends progress of watches to the client; does nothing if the client did not ask for progress.
        follows: the ended watch whose chain this call continues; None for a call of a client.
        asker: asks the client's user; None if the client cannot.
        id: identifies the call in the audit log.
        detached: the call never waits, because its result can come later as a task.
        awaits: the watches that the call would wait for; the tool adds them.
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
        description: everything that a model needs to use the tool; it may see nothing else.
        arguments: the model of its arguments; clients see its schema.
        run: does the work; raises errors of `tp_mcp.errors`.
        read_only: the tool changes nothing, so a client need not ask its user.
        destructive: the tool changes something on TP that cannot be undone.
        idempotent: a second call changes nothing further.
        awaits: the tool starts or awaits a job, so its result can be a task for clients that support tasks.
        check: for a tool that a chain can call: checks a call as far as possible without sending it, given the names
            of the arguments whose values are not known yet. None for other tools.
        typical_characters: length of its result; the rest is stored and can be read with `read_result`.
        likely: for a tool that a chain can call: well-formed values for arguments that are not known yet.
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
            InvalidArgumentError: an argument is wrong; the message names it, its value and the allowed values.
            TpMcpError: any error of the tool.
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
        """Check the arguments and do a part of the tool's work, with its first and last line in the audit log.

        Args:
            raw: the arguments before validation.
            call: the call.
            work: does the work.
            summary: describes the outcome in one sentence.

        Raises:
            InvalidArgumentError: an argument is wrong.
            TpMcpError: any error of `work`.
        """
        trail = call.services.access.trail(call.owner, self.name, call.id)
        return await _audited(trail, raw, lambda: work(self.parse(raw), call), summary)

    def parse(self, raw: dict[str, Any]) -> Arguments:
        """Return the checked arguments.

        Raises:
            InvalidArgumentError: an argument is wrong.
        """
        try:
            return self.arguments.model_validate(raw)
        except ValidationError as error:
            raise argument_error(self.name, self.arguments, error) from None

    def schema(self) -> dict[str, JsonValue]:
        """Return the JSON schema of the arguments, as clients see it."""
        return schema_of(self.arguments)


async def _audited(
    trail: Trail, raw: Mapping[str, Any], work: Callable[[], Awaitable[Result]], summary: Callable[[Result], str]
) -> Result:
    """Do the work of a call; write the request before it and the outcome after it to the audit log.

    Args:
        trail: writes the audit log's lines of this call.
        raw: the arguments before validation.
        work: does the work.
        summary: describes the outcome in one sentence.

    Raises:
        StoreError: the request could not be logged, so nothing was sent.
        TpMcpError: any error of `work`.
    """
    await trail.write(Event.ASKED, _arguments(raw))
    try:
        result = await work()
    except QuestionForUser:
        raise
    except TpMcpError as error:
        await trail.write_if_possible(Event.REFUSED, str(error))
        raise
    except BaseException as error:
        await trail.write_if_possible(Event.OUTCOME, f"ended by {type(error).__name__}")
        raise
    await trail.write_if_possible(Event.OUTCOME, summary(result))
    return result


def _arguments(raw: Mapping[str, Any]) -> str:
    masked = {name: "(masked)" if name in MASKED_ARGUMENTS else value for name, value in raw.items()}
    return json.dumps(masked, ensure_ascii=False, default=str)
