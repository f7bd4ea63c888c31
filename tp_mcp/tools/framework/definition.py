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
"""What is not written as it was passed: it holds a password that nobody has told apart yet."""

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
        return await _audited(trail, raw, lambda: work(self.parse(raw), call), summary)

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
        """Return the JSON schema of the arguments, as clients see it."""
        return schema_of(self.arguments)


async def _audited(
    trail: Trail, raw: Mapping[str, Any], work: Callable[[], Awaitable[Result]], summary: Callable[[Result], str]
) -> Result:
    """Do the work of a call, and write the request before and the outcome after it.

    Args:
        trail: the audit log's lines of this call.
        raw: the arguments as they came.
        work: does the work.
        summary: returns the outcome in a sentence.

    Raises:
        StoreError: the request could not be written down, so nothing was sent.
        TpMcpError: what the work raises.

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
    shown = {name: "(masked)" if name in MASKED_ARGUMENTS else value for name, value in raw.items()}
    return json.dumps(shown, ensure_ascii=False, default=str)
