"""A kind of job: everything that differs between upgrades, pytest runs, and what TP may run next.

One object stands for a kind. `tp_mcp.jobs.kinds` registers it, and CONTRIBUTING.md says how to add one. A kind has no
state: the request that starts a job, or the watch of the job, is passed to each method.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Generic, Protocol, TypeVar, cast

from pydantic import JsonValue

from tp_mcp.access.policy import Action
from tp_mcp.api.client import TpClient
from tp_mcp.connectors.manifest import AsyncBlock, FollowUp, Manifest
from tp_mcp.connectors.template import render_mapping, template_roots
from tp_mcp.errors import ManifestError, TpNotJsonError, WatchSpecError
from tp_mcp.watch.model.spec import NOT_STARTED_AFTER_SECONDS, STALLED_AFTER_SECONDS, WatchSpec
from tp_mcp.watch.model.watch import Watch
from tp_mcp.watch.polling.interpretation import Rule, Settler
from tp_mcp.watch.registry import Accepted

Request = TypeVar("Request")

POLL_ROOTS = frozenset({"args", "result"})
"""The roots of the templates in `poll_args`: the arguments of the start, and TP's answer to it."""


class JobRule(Rule, Settler, Protocol):
    """Interprets the answers to a job's polls, and settles a start that TP never answered."""


class JobKind(ABC, Generic[Request]):
    """A kind of job. `Request` is the type of a request that passed the guard.

    Attributes:
        name: the kind's name, kept with each watch. It is also the name of the kind's rule.
        tool: the tool that starts such a job.
        testbed_argument: the argument of that tool that names the testbed.
        action: the change that the operator's policy decides over.
        rule: interprets the answers to polls. Pure.
        start_notes: sentences for the result of a start.
        advice: the next step after a start that no chain follows, in a sentence.
        usual: how long such a job usually takes, in a sentence, where no earlier job shows it.
    """

    name: ClassVar[str]
    tool: ClassVar[str]
    testbed_argument: ClassVar[str] = "testbed"
    action: ClassVar[Action]
    rule: ClassVar[JobRule]
    start_notes: ClassVar[tuple[str, ...]] = ()
    advice: ClassVar[str] = ""
    usual: ClassVar[str] = ""

    # The start of a job.

    @abstractmethod
    def testbed(self, request: Request) -> str:
        """Return the testbed that a request is for."""

    @abstractmethod
    def title(self, request: Request) -> str:
        """Return a name for the job in a few words: "upgrade of AT16_Combined_FSW to build 6957"."""

    @abstractmethod
    def job(self, request: Request) -> str:
        """Return the job's key, as far as it is known before TP answers. Nothing is read from a key."""

    @abstractmethod
    def arguments(self, request: Request) -> dict[str, JsonValue]:
        """Return the arguments that are sent, in one spelling, with secrets masked."""

    @abstractmethod
    async def send(self, request: Request, client: TpClient) -> JsonValue:
        """Send the request, once, and return TP's own answer.

        Raises:
            TpError: TP refused, was not reached, or did not answer.
        """

    def same_arguments(self, request: Request) -> dict[str, JsonValue]:
        """Return the arguments that decide whether two calls ask for the same job."""
        return self.arguments(request)

    def secret(self, request: Request) -> str:  # noqa: ARG002 -- most requests hold none
        """Return the secret that `arguments` masks; empty for a request that holds none."""
        return ""

    def target(self, request: Request) -> str:  # noqa: ARG002 -- only an upgrade has one
        """Return the image that the testbed runs afterwards: "build 6957". Empty if the job changes none."""
        return ""

    async def baseline(self, request: Request, client: TpClient) -> JsonValue:  # noqa: ARG002 -- a kind may need none
        """Return the state before the start that the rule compares with.

        Raises:
            TpError: TP could not be asked, and the job cannot be watched without it.
        """
        return None

    def duration_groups(self, request: Request) -> tuple[str, ...]:  # noqa: ARG002 -- a kind may have none
        """Return the groups of jobs that take about as long, the closest group first."""
        return ()

    def spec(self, manifest: Manifest, duration_groups: tuple[str, ...] = ()) -> WatchSpec:
        """Return how such a job is watched, as the connector manifest says it.

        Raises:
            ManifestError: the manifest does not say it, or not in a way that can be used here.
        """
        return spec_of(async_block(manifest, self.tool), rule=self.name, history=duration_groups)

    def accepted(self, request: Request, answer: JsonValue, manifest: Manifest) -> Accepted:
        """Return the parts of a watch that only TP's answer to the start can tell.

        Raises:
            TpNotJsonError: the answer lacks what is needed to poll the job. TP may have started it all the same.
        """
        block = async_block(manifest, self.tool)
        try:
            args = poll_args(block, args=self.arguments(request), result=answer)
        except WatchSpecError as error:
            raise TpNotJsonError(
                f"TP accepted the request, but its answer lacks what is needed to watch it: {error}",
                may_have_acted=True,
            ) from None
        return Accepted(answer=answer, spec_args=args)

    # A watched job.

    @abstractmethod
    def look_call(self, watch: Watch) -> str:
        """Return the call that shows the job: `get_execution(exec_id=446)`. Empty if no tool shows it."""

    @abstractmethod
    def next_step(self, watch: Watch) -> str:
        """Return the next step after the end of a job that TP accepted, in a sentence; may be empty."""

    def after_cancelled_watch(self, watch: Watch) -> str:  # noqa: ARG002 -- a kind may have nothing to say
        """Return how to end the job itself, once its watch is cancelled; may be empty."""
        return ""


def async_block(manifest: Manifest, tool: str) -> AsyncBlock:
    """Return the `async` block of a tool that starts a job.

    Raises:
        ManifestError: the manifest has no such tool, it has no `async` block, or one that cannot be used here.
    """
    entry = manifest.tools.get(tool)
    if entry is None or entry.async_block is None:
        raise ManifestError(
            f"The connector {manifest.id!r} has no tool {tool!r} with an async block, so it cannot be watched.",
            remedy="Use the connector that comes with tp-mcp, or add the tool to yours.",
        )
    # Checked before anything is started: once TP has accepted the job, it would be too late.
    if surplus := template_roots(dict(entry.async_block.poll_args)) - POLL_ROOTS:
        raise ManifestError(
            f"The connector {manifest.id!r} takes {', '.join(sorted(surplus))} for the poll_args of {tool!r}.",
            remedy="tp-mcp fills them from args and result alone.",
        )
    return entry.async_block


def spec_of(block: AsyncBlock, *, rule: str, history: tuple[str, ...] = ()) -> WatchSpec:
    """Return how the job of an `async` block is watched. The arguments to poll with follow from TP's answer.

    Args:
        block: the tool's block.
        rule: the name of the rule that interprets the answers.
        history: the groups of jobs that take about as long, see `JobKind.duration_groups`.
    """
    return WatchSpec(
        tool=block.poll,
        args={},
        rule=rule,
        interval_seconds=block.interval_sec,
        timeout_seconds=block.timeout_sec,
        max_polls=block.max_polls,
        not_started_after_seconds=block.not_started_after_sec or NOT_STARTED_AFTER_SECONDS,
        stalled_after_seconds=block.stalled_after_sec or STALLED_AFTER_SECONDS,
        on_done=_message(block.on_done),
        on_fail=_message(block.on_fail),
        progress=block.progress.message if block.progress is not None and block.progress.show else "",
        history=history,
    )


def poll_args(block: AsyncBlock, *, args: Mapping[str, JsonValue], result: JsonValue) -> dict[str, JsonValue]:
    """Return the arguments to poll with, once the start was answered.

    Raises:
        WatchSpecError: the answer lacks a value that the manifest takes from it.
    """
    rendered = render_mapping(block.poll_args, {"args": args, "result": result})
    # A template that is filled from JSON is JSON.
    return cast("dict[str, JsonValue]", rendered)


def _message(follow_up: FollowUp | None) -> str:
    return "" if follow_up is None else follow_up.message
