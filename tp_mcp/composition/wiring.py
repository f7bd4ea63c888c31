"""Joins the parts behind the tools, on the system's clock or on one that a test moves."""

import random
from collections.abc import Iterable
from dataclasses import dataclass

from anyio.abc import TaskGroup
from pydantic import SecretStr

from tp_mcp.access.access_tokens import Tokens
from tp_mcp.access.confirmations import Confirmations
from tp_mcp.access.control import AccessControl
from tp_mcp.access.policy import Confirm, Policy, Unasked
from tp_mcp.api.client import TpClient
from tp_mcp.clock import Clock
from tp_mcp.connectors.manifest import Manifest
from tp_mcp.history.analysis import EndedExecutions
from tp_mcp.history.recorder import Recorder
from tp_mcp.history.report_cache import ReportCache
from tp_mcp.jobs.kinds import KINDS
from tp_mcp.jobs.match_rule import MATCH_RULE, MatchRule
from tp_mcp.jobs.tp_reader import KeepingReader, TpReader
from tp_mcp.redaction import Redactor
from tp_mcp.results.kept_logs import KeptLogs
from tp_mcp.results.stored_results import StoredResults
from tp_mcp.server.toolset import CHAINED_TOOLS
from tp_mcp.settings import Settings
from tp_mcp.storage.opening import Storage
from tp_mcp.tools.framework.services import Results, Services, Starts, Tp, Watches
from tp_mcp.tools.framework.tp_catalogue import Catalogue
from tp_mcp.tools.framework.tp_identities import Principals
from tp_mcp.tools.starts.chain_arguments import ToolStarter
from tp_mcp.watch.delivery.catch_up import CatchingUp
from tp_mcp.watch.delivery.change_feed import ChangeFeed
from tp_mcp.watch.delivery.delivery_log import Deliveries
from tp_mcp.watch.delivery.inbox import Inbox
from tp_mcp.watch.delivery.tasks import Tasks
from tp_mcp.watch.lifecycle.chain_runner import Chains
from tp_mcp.watch.model.watch import Watch
from tp_mcp.watch.polling.interpretation import Interpreter
from tp_mcp.watch.polling.lease_holder import Leases
from tp_mcp.watch.polling.poller import Poller, Timer
from tp_mcp.watch.registry import WatchRegistry


@dataclass(frozen=True, slots=True)
class Ground:
    """The parts that are opened outside, and closed there.

    Attributes:
        client: speaks to TP.
        server: TP's base URL.
        storage: the storage.
        manifest: how jobs are watched.
        clock: the time.
        timer: calls the poller when a poll is due.
        tasks: runs waits, and the services of all watches.
        polls: runs polls and the steps of chains; may be the same.
        secrets: are never shown.
        rng: source of phases and back-off; None for the system's randomness.
        interval_factor: multiplies every poll interval.
        principals: gives each principal a login of their own; None where `client` serves everybody.
        heartbeat_seconds: how often this process shows the others on its store that it is alive; None where no other
            process has the same watches.
    """

    client: TpClient
    server: str
    storage: Storage
    manifest: Manifest
    clock: Clock
    timer: Timer
    tasks: TaskGroup
    polls: TaskGroup
    secrets: Iterable[SecretStr] = ()
    rng: random.Random | None = None
    interval_factor: float = 1.0
    principals: Principals | None = None
    heartbeat_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Assembly:
    """The joined parts.

    Attributes:
        services: used by tools.
        poller: has to be started, and closed at the end.
        chains: starts the steps that follow ends.
        recorder: keeps the results of ended executions.
    """

    services: Services
    poller: Poller
    chains: Chains
    recorder: Recorder


def assemble(settings: Settings, ground: Ground) -> Assembly:
    """Join the parts; nothing is polled before the registry resumes and the poller is started."""
    feed = ChangeFeed(store=ground.storage.watches, clock=ground.clock, task_group=ground.tasks)
    chains = Chains(store=ground.storage.watches, clock=ground.clock, server=ground.server, task_group=ground.polls)

    # The client goes on learning, such as the password of a command.
    redactor = Redactor(ground.secrets).knowing(ground.client.secrets)
    logs = KeptLogs(ground.storage.logs, ground.server, redactor.safe)
    principals = ground.principals
    executions = EndedExecutions(
        client=ground.client,
        history=ground.storage.history,
        logs=logs,
        reports=ReportCache(),
        clock=ground.clock,
        server=ground.server,
        client_of=None if principals is None else principals.background,
    )
    recorder = Recorder(
        executions=executions, store=ground.storage.watches, clock=ground.clock, task_group=ground.polls
    )

    def on_change(watch: Watch) -> None:
        # First: a caller that the end wakes waits for its triage summary.
        recorder.notice(watch)
        feed.publish(watch)
        chains.notice(watch)

    polled = TpReader(ground.client, None if principals is None else principals.polling)
    poller = Poller(
        store=ground.storage.watches,
        feed=feed,
        interpreter=Interpreter(
            KeepingReader(polled, logs, ground.polls),
            rules={MATCH_RULE: MatchRule(), **{kind.name: kind.rule for kind in KINDS.values()}},
            settlers={kind.name: kind.rule for kind in KINDS.values()},
        ),
        identity_of=None if principals is None else principals.identity,
        clock=ground.clock,
        timer=ground.timer,
        task_group=ground.polls,
        on_change=on_change,
        interval_factor=ground.interval_factor,
        rng=ground.rng,
        leases=_leases(ground),
    )
    registry = WatchRegistry(
        store=ground.storage.watches,
        poller=poller,
        feed=feed,
        clock=ground.clock,
        server=ground.server,
        task_group=ground.tasks,
    )
    services = Services(
        tp=Tp(
            client=ground.client,
            catalogue=Catalogue(ground.client, ground.clock, testcases_ttl_seconds=settings.testcases_ttl_seconds),
            executions=executions,
            redactor=redactor,
            principals=principals,
        ),
        watches=Watches(
            registry=registry,
            inbox=Inbox(store=ground.storage.watches, clock=ground.clock),
            feed=feed,
            catching_up=CatchingUp(registry=registry, feed=feed, clock=ground.clock),
            store=ground.storage.watches,
            deliveries=Deliveries(store=ground.storage.watches, clock=ground.clock),
            tasks=Tasks(store=ground.storage.tasks, registry=registry, clock=ground.clock),
            max_wait_seconds=settings.max_wait_seconds,
            pace=ground.interval_factor,
        ),
        results=Results(recorder, logs, StoredResults(ground.storage.stored_results, redactor.safe)),
        starts=Starts(
            manifest=ground.manifest,
            tools={name: tool for name, tool in CHAINED_TOOLS.items() if name not in settings.disabled_tools},
            allowed_pytest_options=settings.allowed_pytest_options,
            image_hosts=settings.image_hosts,
            image_paths=settings.image_paths,
        ),
        access=AccessControl(
            policy=policy_of(settings),
            confirmations=Confirmations(ground.storage.confirmations, ground.clock),
            tokens=Tokens(ground.storage.tokens, ground.clock),
            audit=ground.storage.audit,
            clock=ground.clock,
            redactor=redactor,
        ),
        clock=ground.clock,
    )
    chains.use(ToolStarter(services))
    return Assembly(services, poller, chains, recorder)


def policy_of(settings: Settings) -> Policy:
    """Return the operator's policy."""
    return Policy(
        read_only=settings.read_only,
        allowed_testbeds=settings.allowed_testbeds,
        protected_testbeds=settings.protected_testbeds,
        daily_upgrades=settings.daily_upgrades,
        daily_runs=settings.daily_runs,
        confirm=Confirm(settings.confirm),
        unasked=Unasked(settings.unasked),
    )


def _leases(ground: Ground) -> Leases | None:
    if ground.heartbeat_seconds is None:
        return None
    return Leases(
        store=ground.storage.watches,
        clock=ground.clock,
        server=ground.server,
        heartbeat_seconds=ground.heartbeat_seconds,
    )
