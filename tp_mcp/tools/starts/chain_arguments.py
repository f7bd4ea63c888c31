"""Chains as arguments of tools: the steps after a start are read, checked before anything is sent, and shown."""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, TypeAlias, cast

from pydantic import Field, JsonValue

from tp_mcp.access.policy import Action
from tp_mcp.connectors.follow_up import CHAIN_ROOTS, follow_up_problems
from tp_mcp.connectors.manifest import FollowUp
from tp_mcp.connectors.template import render_value, template_roots
from tp_mcp.errors import InputError, InvalidArgumentError, PolicyError, WatchNotFoundError, WatchSpecError
from tp_mcp.jobs.kinds import kind_started_by
from tp_mcp.tools.framework.arguments import ToolArguments
from tp_mcp.tools.framework.definition import Call, ToolDefinition
from tp_mcp.tools.framework.services import Services
from tp_mcp.watch.delivery.inbox import Visit
from tp_mcp.watch.lifecycle.chain_steps import next_chain
from tp_mcp.watch.model.chain import CHAIN_DEPTH, Chain, Link, names_step
from tp_mcp.watch.model.spec import WatchSpec
from tp_mcp.watch.model.watch import Watch, new_watch_id

Later: TypeAlias = tuple[Action, str | None]
"""A change and its testbed; None if a template names the testbed, which may then be any."""


def later_changes(chain: Chain | None) -> tuple[Later, ...]:
    """Return every change that may follow, whichever way the chain goes."""
    return tuple(_change(link) for link in _links(chain))


def _links(chain: Chain | None) -> Iterator[Link]:
    waiting: list[Link | str | None] = [] if chain is None else [*chain.links]
    while waiting:
        link = waiting.pop()
        if isinstance(link, Link):
            yield link
            waiting += (link.on_done, link.on_fail)


def _change(link: Link) -> Later:
    kind = kind_started_by(link.tool)
    if kind is None:
        raise WatchSpecError(f"There is no tool {link.tool!r} that a chain may call.")
    testbed = link.args.get(kind.testbed_argument)
    return kind.action, testbed if isinstance(testbed, str) and not template_roots(testbed) else None


Starts = Mapping[str, ToolDefinition[Any]]
Follow = Link | str | None
FOLLOW_UPS = ("on_done", "on_fail")
NOT_OF_THE_REQUEST = frozenset({*FOLLOW_UPS, "max_wait_seconds", "dry_run", "confirm"})
"""Arguments of a start that are not part of the request."""

NOT_IN_A_CHAIN = frozenset({"dry_run", "confirm"})
KEYS = ("tool", "args", "message")
MESSAGE_MAX_CHARACTERS = 300
EXAMPLE = '{"tool": "run_pytest", "args": {"lab": "AT16_Combined_FSW", "testcase": ["Tests_CLI"]}}'

OnDone = Annotated[
    dict[str, JsonValue] | None,
    Field(
        description='Next step after state "done" (a run is done even if tests failed): {"tool": "start_upgrade" or '
        '"run_pytest", "args": {...}} or {"message": "..."}. {args.x}, {result.x} and {poll.x} are replaced. args can '
        "have its own on_done and on_fail, up to 3 more calls.",
    ),
]
OnFail = Annotated[
    dict[str, JsonValue] | None,
    Field(description="Next step after failed, timed_out or lost, in the same form; not after cancelled."),
]


@dataclass(frozen=True, slots=True)
class _Step:
    """A step of a chain that is to be checked.

    Attributes:
        where: its place in the arguments, as `on_done.on_fail`.
        arguments: its arguments, with stand-ins for those whose values are not known yet.
        unknown: the names of the arguments with stand-ins.
        check: checks the step; raises the error that refuses it.
    """

    where: str
    arguments: ToolArguments
    unknown: frozenset[str]
    check: Callable[[Call], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class RequestedChain:
    """The chain that a start asks for, and the place of its own watch in it.

    Attributes:
        id: the id of the watch: a new one or, for a later step, the one that the chain allotted to it.
        chain: None if no call follows and this one follows none.
        messages: the caller's own messages by `on_done` and `on_fail`.
        given: `on_done` and `on_fail` as the caller gave them.
    """

    id: str = field(default_factory=new_watch_id)
    chain: Chain | None = None
    messages: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, JsonValue] = field(default_factory=dict)
    _steps: tuple[_Step, ...] = ()

    def with_messages(self, spec: WatchSpec) -> WatchSpec:
        """Return a spec with the caller's own messages instead of the manifest's."""
        return replace(
            spec,
            on_done=self.messages.get("on_done", spec.on_done),
            on_fail=self.messages.get("on_fail", spec.on_fail),
        )

    @property
    def lines(self) -> tuple[str, ...]:
        """Return the chain in lines for a plan; the same chain has the same lines each time."""
        return tuple(f"{name}: {json.dumps(follow, ensure_ascii=False)}" for name, follow in self.given.items())

    @property
    def later(self) -> tuple[Later, ...]:
        """Return every change that may follow."""
        return later_changes(self.chain)

    async def check(self, call: Call) -> None:
        """Check each step as a direct call would be, as far as its arguments are known.

        Raises:
            InputError: a step would be refused; names the step and the reason.
            PolicyError: the operator does not allow a step.
            TpError: TP could not be asked.
        """
        for step in self._steps:
            try:
                await step.check(call)
            except (InputError, PolicyError) as error:
                raise _refused(step.where, error) from None


def requested_chain(
    call: Call,
    on_done: Mapping[str, JsonValue] | None,
    on_fail: Mapping[str, JsonValue] | None,
    *,
    known: Mapping[str, JsonValue],
    roots: frozenset[str] = CHAIN_ROOTS,
    polled: str | None = None,
) -> RequestedChain:
    """Return the chain that a start asks for, after every check that needs no answer of TP.

    Args:
        call: the call that starts it; one that carries a chain on takes the rest of that chain.
        on_done: the call or message after a good end.
        on_fail: the call or message after any other end.
        known: the arguments of the start, secrets masked.
        roots: the roots that templates may use.
        polled: the tool that is polled, if the caller chose it.

    Raises:
        InvalidArgumentError: a step cannot be used; names the step and the reason.
        PolicyError: no login could carry the chain on once the call is over.
    """
    if call.follows is not None:
        link, chain = next_chain(call.follows)
        return RequestedChain(id=link.id, chain=chain, messages=_messages(chain.on_done, chain.on_fail))
    given = {
        name: cast("JsonValue", value)
        for name, value in zip(FOLLOW_UPS, (on_done, on_fail), strict=True)
        if value is not None
    }
    reading = _Reading(call.services.starts.tools, roots)
    follows = {name: reading.follow(name, value, known, frozenset(), 1) for name, value in given.items()}
    chain = Chain(on_done=follows.get("on_done"), on_fail=follows.get("on_fail"))
    if call.services.tp.acting is not None:
        call.services.tp.acting.check_watch(polled, chained=bool(chain.links))
    return RequestedChain(
        chain=chain if chain.links else None,
        messages=_messages(chain.on_done, chain.on_fail),
        given=given,
        _steps=tuple(reading.steps),
    )


class ToolStarter:
    """Starts the next step of a chain as a call of its tool, with every check of a direct call."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def start(self, parent: Watch) -> None:
        """Make the call that follows an ended watch.

        Raises:
            TpMcpError: it was refused.
        """
        link, _ = next_chain(parent)
        # No client waits for the result: the inbox reports the end.
        services = await self._services.for_principal(parent.owner.principal)
        call = Call(parent.owner, Visit(parent.owner), services, _report_to_nobody, follows=parent)
        definition = self._services.starts.tools.get(link.tool)
        if definition is None:
            raise WatchSpecError(f"There is no tool {link.tool!r} that a chain may call.")
        await definition.call(dict(link.args), call)


async def chains_with(watch_id: str, call: Call) -> list[tuple[Watch, Chain]]:
    """Return the watches in whose chain a later step has this id, newest first, each with its chain."""
    found = await call.services.watches.registry.list(call.owner, all_conversations=True, about=watch_id)
    return [(each, each.chain) for each in found if each.chain is not None and names_step(each.chain, watch_id)]


async def begun(watch_id: str, call: Call) -> Watch:
    """Return a watch that has begun. A later step of a chain may not have.

    Raises:
        WatchNotFoundError: there is no such watch, or it has not begun; then the error names the watch it waits for.
    """
    try:
        return await call.services.watches.registry.get(watch_id, call.owner)
    except WatchNotFoundError:
        for watch, chain in await chains_with(watch_id, call):
            if not watch.state.ended:
                raise WatchNotFoundError(
                    f"{watch_id} is a later step of the chain of {watch.id} and has not begun.",
                    remedy=f"Wait for {watch.id}; to stop the chain, cancel {watch.id}.",
                ) from None
            if chain.next is not None and chain.next.id == watch_id:
                raise WatchNotFoundError(
                    f"{watch_id} follows {watch.id}, which has ended, and is just being started.",
                    remedy="Call again in a moment. Do not start it yourself.",
                ) from None
        raise


class _Reading:
    """Reads the steps after a start, and collects them for the checks."""

    def __init__(self, starts: Starts, roots: frozenset[str]) -> None:
        self._starts = starts
        self._roots = roots
        self.steps: list[_Step] = []

    def follow(
        self, where: str, given: JsonValue, before: Mapping[str, JsonValue], open_names: frozenset[str], depth: int
    ) -> Follow:
        """Return one follow-up.

        Args:
            where: its place in the arguments.
            given: the follow-up as the caller gave it.
            before: the arguments of the call that it follows.
            open_names: the names of those whose values are not known yet.
            depth: the number of calls between the first one and the end of this one.
        """
        if not isinstance(given, dict) or not _shape_is_right(given):
            raise InvalidArgumentError(
                f'{where} must have either tool and args, or message: {EXAMPLE} or {{"message": "..."}}.'
            )
        args = cast("dict[str, JsonValue]", dict(cast("dict[str, JsonValue]", given.get("args") or {})))
        if unfit := sorted(NOT_IN_A_CHAIN & args.keys()):
            raise InvalidArgumentError(
                f"{where} has {' and '.join(unfit)}, which only the first call takes, for the whole chain.",
                remedy="Leave it out there. Nothing was sent.",
            )
        nested = {name: args.pop(name) for name in FOLLOW_UPS if args.get(name) is not None}
        message = str(given.get("message", ""))
        # From the second step on there is an answer of TP to the start, whatever the first one was.
        roots = self._roots if depth == 1 else CHAIN_ROOTS
        follow_up = FollowUp(mode="chat" if message else "tool", message=message, tool=given.get("tool", ""), args=args)
        problems = follow_up_problems(follow_up, tools=self._starts, roots=roots, known={"args": before})
        if problems:
            raise InvalidArgumentError(
                f"{where} cannot be used: {'; '.join(problems).rstrip('.')}.", remedy="Nothing was sent."
            )
        if message:
            return message
        if depth > CHAIN_DEPTH:
            raise InvalidArgumentError(
                f"{where} is one call too many: at most {CHAIN_DEPTH} may follow each other.",
                remedy="Nothing was sent.",
            )
        closed = {name: value for name, value in before.items() if name not in open_names}
        filled = {name: _filled(value, closed) for name, value in args.items()}
        definition = self._starts[follow_up.tool]
        step = _step(where, definition, filled)
        self.steps.append(step)
        # A nested template may also name an argument that was not given and has a default.
        defaults = step.arguments.model_dump(mode="json", exclude_none=True, exclude=set(NOT_OF_THE_REQUEST))
        own = {**defaults, **filled}
        follows = {
            name: self.follow(f"{where}.{name}", value, own, step.unknown, depth + 1) for name, value in nested.items()
        }
        return Link(new_watch_id(), follow_up.tool, filled, follows.get("on_done"), follows.get("on_fail"))


def _shape_is_right(given: Mapping[str, JsonValue]) -> bool:
    tool, args, message = (given.get(key) for key in KEYS)
    if not set(given) <= set(KEYS):
        return False
    if tool is None:
        return args is None and isinstance(message, str) and 0 < len(message.strip()) <= MESSAGE_MAX_CHARACTERS
    return message is None and isinstance(tool, str) and isinstance(args, dict | None)


def _step(where: str, definition: ToolDefinition[Any], args: Mapping[str, JsonValue]) -> _Step:
    unknown = frozenset(name for name, value in args.items() if template_roots(value))
    try:
        arguments = definition.parse(
            {name: definition.likely.get(name) if name in unknown else args[name] for name in args}
        )
    except InvalidArgumentError as error:
        raise _refused(where, error) from None

    async def check(call: Call) -> None:
        if definition.check is not None:
            await definition.check(arguments, call, unknown)

    return _Step(where, arguments, unknown, check)


def _filled(value: JsonValue, known: Mapping[str, JsonValue]) -> JsonValue:
    """Return a value with its templates filled, if the values of all of them are known already."""
    try:
        filled = cast("JsonValue", render_value(value, {"args": known}))
    except WatchSpecError:
        return value
    # A value from a caller that looks like a template is none: it stays where it is, to be filled once.
    return value if template_roots(filled) else filled


def _refused(where: str, error: InputError | PolicyError) -> InputError | PolicyError:
    return type(error)(
        f"{where} would be refused: {error.message}", remedy=f"{error.remedy} Nothing was sent.".lstrip()
    )


def _messages(*follows: Follow) -> dict[str, str]:
    return {name: follow for name, follow in zip(FOLLOW_UPS, follows, strict=True) if isinstance(follow, str)}


async def _report_to_nobody(*_watches: Watch) -> None:
    """Take no part in progress."""
