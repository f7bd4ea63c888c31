"""Starting a job: the one pipeline for upgrades, runs, the steps of chains, and watches of others' jobs.

Tools and the command line both call it. It returns a typed outcome, which each of them renders for its own reader.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeAlias, TypeVar

from anyio import to_thread
from pydantic import JsonValue

from tp_mcp.access.policy import Need
from tp_mcp.errors import InvalidArgumentError, TpMcpError
from tp_mcp.jobs.kind import JobKind
from tp_mcp.tools.framework.definition import Call
from tp_mcp.tools.framework.wait import check_wait
from tp_mcp.tools.starts.chain_arguments import RequestedChain, requested_chain
from tp_mcp.tools.starts.confirmation import (
    Change,
    NeedsConfirmation,
    Planned,
    permitted,
    permitted_to_follow,
    watches_on,
)
from tp_mcp.watch.model.idempotency import idempotency_key
from tp_mcp.watch.model.spec import WatchSpec
from tp_mcp.watch.model.watch import Origin, Watch
from tp_mcp.watch.registry import Accepted, Intent

P = ParamSpec("P")
Request = TypeVar("Request")


@dataclass(frozen=True, slots=True)
class Started:
    """TP accepted the job, or has not answered yet (the watch is `starting`); or the watch of another's job was made.

    Attributes:
        watch: watches the job.
        notes: facts for the caller while the job goes on, each in a sentence.
        advice: the next step, in a sentence; may be empty.
    """

    watch: Watch
    notes: tuple[str, ...] = ()
    advice: str = ""


@dataclass(frozen=True, slots=True)
class AlreadyStarted:
    """The same call was made before. Nothing was sent, and no second watch was made.

    Attributes:
        watch: the watch that the first call made.
        only_watched: both calls ask for a watch of another's job, so there was nothing to send.
    """

    watch: Watch
    only_watched: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The call was refused, by this server or by TP.

    Attributes:
        error: the reason. Nothing was started, unless the error says that this is not known.
    """

    error: TpMcpError


StartOutcome: TypeAlias = Started | NeedsConfirmation | AlreadyStarted | Planned | Refused


@dataclass(frozen=True, slots=True)
class ObservedJob:
    """A job that somebody else started, or another state of TP that is to be watched.

    Attributes:
        title: a name for it in a few words.
        job: its key.
        spec: how it is watched.
        kind: its kind; None for a state that is no job's.
        testbed: the testbed that it is on; empty for none.
        baseline: the state before, which the kind's rule compares with.
        notes: sentences for the result.
    """

    title: str
    job: str
    spec: WatchSpec
    kind: JobKind[Any] | None = None
    testbed: str = ""
    baseline: JsonValue = None
    notes: tuple[str, ...] = ()


def _refusals_as_outcomes(start: Callable[P, Awaitable[StartOutcome]]) -> Callable[P, Awaitable[StartOutcome]]:
    """Return a start that returns `Refused` instead of raising an error of the project's tree."""

    @wraps(start)
    async def start_or_refuse(*args: P.args, **kwargs: P.kwargs) -> StartOutcome:
        try:
            return await start(*args, **kwargs)
        except TpMcpError as error:
            return Refused(error)

    return start_or_refuse


@_refusals_as_outcomes
async def start_job(
    kind: JobKind[Request],
    request: Request,
    call: Call,
    *,
    on_done: Mapping[str, JsonValue] | None = None,
    on_fail: Mapping[str, JsonValue] | None = None,
    written: Mapping[str, JsonValue] | None = None,
    max_wait_seconds: float = 0.0,
    dry_run: bool = False,
    confirm: str | None = None,
    check: Callable[[], Awaitable[str]] | None = None,
    note: str = "",
) -> StartOutcome:
    """Start a job and watch it. The request is sent at most once.

    Args:
        kind: the kind of job.
        request: the request, which passed the guard.
        call: the call that asks for it.
        on_done: the call or message that follows a good end.
        on_fail: the call or message that follows any other end.
        written: the arguments as the caller wrote them, for the templates of a chain; None for the kind's own.
        max_wait_seconds: how long the caller means to wait for the end. It is only checked here.
        dry_run: return the plan, and send nothing.
        confirm: the code of a plan that was shown before.
        check: checks the arguments that only this kind has against TP; returns a sentence for the result, or nothing.
        note: a sentence for the result.

    Raises:
        QuestionForUser: the client's user has to answer first; the call comes again with the answer.
    """
    services = call.services
    check_wait(max_wait_seconds, call)
    spec = kind.spec(services.starts.manifest, kind.duration_groups(request))
    arguments, testbed, title = kind.arguments(request), kind.testbed(request), kind.title(request)
    following = requested_chain(call, on_done, on_fail, known=written or arguments)
    key = await _idempotency_key(
        call, kind.tool, {**kind.same_arguments(request), **following.given}, secret=kind.secret(request)
    )
    if key and not dry_run and (same := await services.watches.registry.repeated(call.owner, key)) is not None:
        return AlreadyStarted(same)
    lab = await services.tp.catalogue.require_lab(kind.testbed_argument, testbed)
    others = await watches_on(testbed, call)
    checked = "" if check is None else await check()
    await following.check(call)
    change = Change(
        action=kind.action,
        tool=kind.tool,
        testbed=testbed,
        what=title,
        arguments=arguments,
        target=kind.target(request),
        chain=following.lines,
        later=following.later,
    )
    if (plan := await permitted(call, change, confirm=confirm, dry_run=dry_run)) is not None:
        return plan
    intent = Intent(
        owner=call.owner,
        origin=Origin(kind.tool, {**arguments, **following.given}),
        title=title,
        job=kind.job(request),
        spec=following.with_messages(spec),
        baseline=await kind.baseline(request, services.tp.client),
        idempotency_key=key,
        chain=following.chain,
        kind=kind.name,
        testbed=testbed,
        id=following.id,
    )

    async def send() -> Accepted:
        return kind.accepted(request, await kind.send(request, services.tp.client), services.starts.manifest)

    try:
        watch = await services.watches.registry.start(intent, send)
    except TpMcpError:
        # Its end waits in the inbox until the result that says so has surely arrived.
        call.visit.refused.add(intent.id)
        call.visit.reported.add(intent.id)
        raise
    if watch.id != intent.id:
        return AlreadyStarted(watch)
    services.watches.inbox.made(call.owner, watch.id)
    unchecked = "" if lab is not None else "TP could not tell which labs there are, so the lab's name was not checked."
    notes = tuple(text for text in (note, *others, unchecked, checked, *kind.start_notes) if text)
    return Started(watch, notes, kind.advice if following.chain is None else "")


@_refusals_as_outcomes
async def observe_job(
    observed: ObservedJob,
    call: Call,
    *,
    tool: str,
    arguments: Mapping[str, JsonValue],
    same: Mapping[str, JsonValue],
    chain: RequestedChain,
    confirm: str | None = None,
) -> StartOutcome:
    """Watch a job that somebody else started. The watch changes nothing itself, but a chain may follow its end.

    Args:
        observed: the job.
        call: the call that asks for it.
        tool: the tool that was called.
        arguments: its arguments.
        same: the arguments that decide whether two calls ask for the same watch.
        chain: the chain that follows the end.
        confirm: the code of a plan that was shown before.

    Raises:
        QuestionForUser: the client's user has to answer first; the call comes again with the answer.
    """
    await chain.check(call)
    if chain.later and (plan := await _permitted_to_follow(chain, call, tool, arguments, confirm)) is not None:
        return plan
    intent = Intent(
        owner=call.owner,
        origin=Origin(tool, {**arguments, **chain.given}),
        title=observed.title,
        job=observed.job,
        spec=chain.with_messages(observed.spec),
        baseline=observed.baseline,
        idempotency_key=await _idempotency_key(call, tool, {**same, **chain.given}),
        chain=chain.chain,
        kind="" if observed.kind is None else observed.kind.name,
        testbed=observed.testbed,
        id=chain.id,
    )
    watch = await call.services.watches.registry.observe(intent)
    if watch.id != intent.id:
        return AlreadyStarted(watch, only_watched=True)
    call.services.watches.inbox.made(call.owner, watch.id)
    return Started(watch, observed.notes)


async def _idempotency_key(call: Call, tool: str, arguments: Mapping[str, JsonValue], *, secret: str = "") -> str:
    """Return the key by which a repetition of a call is recognized.

    A later step of a chain has an empty key: two steps of one chain may be the same call, and both are wanted.
    """
    if call.follows is not None:
        return ""
    if not secret:
        return idempotency_key(tool, arguments)
    # A key with a secret is slow to compute, on purpose.
    return await to_thread.run_sync(lambda: idempotency_key(tool, arguments, secret=secret))


async def _permitted_to_follow(
    chain: RequestedChain, call: Call, tool: str, arguments: Mapping[str, JsonValue], confirm: str | None
) -> NeedsConfirmation | None:
    """Have the chain after a watch confirmed, if the policy asks for it."""
    policy = call.services.access.policy
    need = policy.need_of_all(Need.NOBODY, chain.later)
    action, testbed = next(later for later in chain.later if policy.need_of_all(Need.NOBODY, (later,)) is need)
    if need is not Need.NOBODY and testbed is None:
        raise InvalidArgumentError(
            "What follows has to be confirmed, and its testbed is named by a template.",
            remedy="Write the testbed itself. Nothing was sent.",
        )
    change = Change(
        action=action,
        tool=tool,
        testbed=testbed or "",
        what="watch that changes nothing by itself, and what follows its end",
        arguments=arguments,
        chain=chain.lines,
        later=chain.later,
    )
    return await permitted_to_follow(call, change, confirm=confirm)
