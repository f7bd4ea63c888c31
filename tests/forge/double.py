"""A double of Forge, the chat workbench: what it does with a connector's tools, and with the watches they begin.

It knows nothing of this project: it reads manifests as YAML, fills templates by itself, and shares no code with the
server. `assistant` plays the model: it is called with every turn that is fed into a session.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.forge.connector import CallFailed, Connector
from tests.forge.templates import LeftOut, at, fill, say

RESULT_MAX_CHARACTERS = 16_000
CHAIN_DEPTH = 3


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        ...


@dataclass
class Session:
    """One chat.

    Attributes:
        turns: what the assistant was told, in order.
        results: what tools answered, as kept in the conversation.
        status: the ambient line beside the chat; never part of it.
        statuses: every one that was shown.
    """

    name: str
    turns: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)

    @property
    def status(self) -> str:
        return self.statuses[-1] if self.statuses else ""


@dataclass
class Watch:
    """What is polled in the background for one session."""

    id: str
    session: Session
    connector: Connector
    block: Mapping[str, Any]
    roots: dict[str, Any]
    poll_args: Mapping[str, Any]
    began: float
    next_poll: float
    depth: int
    polls: int = 0
    ended: str = ""


Assistant = Callable[["Forge", Session, str], Awaitable[None]]


async def _silent(_forge: "Forge", _session: Session, _turn: str) -> None:
    return None


class Forge:
    """Chats, their tools, and the runner that polls."""

    def __init__(self, connectors: Mapping[str, Connector], clock: Clock, assistant: Assistant = _silent) -> None:
        self._connectors = connectors
        self._clock = clock
        self._assistant = assistant
        self.sessions: dict[str, Session] = {}
        self.watches: list[Watch] = []

    def session(self, name: str) -> Session:
        return self.sessions.setdefault(name, Session(name))

    async def dispatch(
        self, session: Session, tool: str, args: Mapping[str, Any], *, depth: int = CHAIN_DEPTH, whole: bool = False
    ) -> str:
        """Run a tool for a chat, and return what is kept of its result.

        Args:
            session: the chat that makes the call.
            tool: `<connector>.<tool>`, or `start_watch`.
            args: its arguments.
            depth: how many further calls may be chained to it.
            whole: a pipeline that asked for no truncation.
        """
        try:
            shown = await self._called(session, tool, args, depth)
        except CallFailed as failure:
            shown = f"Error: {failure}"
        if len(shown) > RESULT_MAX_CHARACTERS and not whole:
            cut = f"\n[truncated: {len(shown)} characters; filter, paginate or flatten]"
            shown = shown[: RESULT_MAX_CHARACTERS - len(cut)] + cut
        session.results.append(shown)
        return shown

    async def _called(self, session: Session, tool: str, args: Mapping[str, Any], depth: int) -> str:
        if tool == "start_watch":
            return self._start_watch(session, args, depth)
        connector_id, _, name = tool.partition(".")
        connector = self._connectors[connector_id]
        answer = await connector.call(name, args)
        shown = answer if isinstance(answer, str) else json.dumps(answer)
        block = connector.tools[name].get("async")
        if block is None:
            return shown
        roots = {"args": dict(args), "result": answer, "settings": connector.settings}
        try:
            watch = self._register(session, connector, block, roots, depth)
        except (LeftOut, KeyError, TypeError) as problem:
            return f"{shown}\n[no watch could be registered: {problem!r}]"
        return f"{shown}\n[watch {watch.id} polls {block['poll']} in the background]"

    def _start_watch(self, session: Session, args: Mapping[str, Any], depth: int) -> str:
        connector_id, _, name = args["tool"].partition(".")
        block = {"poll": name, "poll_args": args.get("args", {}), "interval_sec": 60, "timeout_sec": 3600} | {
            key: args[key]
            for key in ("done_match", "interval_sec", "timeout_sec", "max_polls", "on_done")
            if key in args
        }
        watch = self._register(session, self._connectors[connector_id], block, {}, depth)
        return f"[watch {watch.id} polls {name} in the background]"

    def _register(
        self, session: Session, connector: Connector, block: Mapping[str, Any], roots: dict[str, Any], depth: int
    ) -> Watch:
        if block["poll"] not in connector.tools:
            raise KeyError(block["poll"])
        now = self._clock.now()
        watch = Watch(
            id=f"watch-{len(self.watches) + 1}",
            session=session,
            connector=connector,
            block=block,
            roots=roots | {"max_polls": block.get("max_polls")},
            poll_args=fill(block.get("poll_args", {}), roots),
            began=now,
            next_poll=now + block["interval_sec"],
            depth=depth,
        )
        self.watches.append(watch)
        return watch

    async def tick(self) -> None:
        """Poll what is due."""
        now = self._clock.now()
        for watch in [each for each in self.watches if not each.ended and each.next_poll <= now]:
            watch.next_poll = now + watch.block["interval_sec"]
            await self._poll(watch, now)

    async def _poll(self, watch: Watch, now: float) -> None:
        watch.polls += 1
        watch.roots["poll_count"] = watch.polls
        try:
            watch.roots["poll"] = await watch.connector.call(watch.block["poll"], watch.poll_args)
        except CallFailed:
            # The next poll may see it again.
            pass
        else:
            if self._matches(watch):
                await self._end(watch, "done", watch.block.get("on_done"))
                return
        progress = watch.block.get("progress", {})
        if progress.get("show"):
            watch.session.statuses.append(say(progress["message"], watch.roots))
        out_of_time = now - watch.began >= watch.block["timeout_sec"]
        if out_of_time or watch.polls >= (watch.block.get("max_polls") or float("inf")):
            await self._end(watch, "failed", watch.block.get("on_fail"))

    @staticmethod
    def _matches(watch: Watch) -> bool:
        match = watch.block["done_match"]
        try:
            return bool(at(match["path"], watch.roots["poll"]) == fill(match["equals"], watch.roots))
        except LeftOut:
            return False

    async def _end(self, watch: Watch, how: str, follow_up: Mapping[str, Any] | None) -> None:
        watch.ended = how
        if follow_up is None:
            return
        if follow_up["mode"] == "chat":
            await self.feed(watch.session, say(follow_up["message"], watch.roots))
            return
        if watch.depth <= 0:
            await self.feed(watch.session, f"{follow_up['tool']} was not called: the chain is too deep")
            return
        connector_id = next(name for name, each in self._connectors.items() if each is watch.connector)
        args = fill(follow_up.get("args", {}), watch.roots)
        await self.dispatch(watch.session, f"{connector_id}.{follow_up['tool']}", args, depth=watch.depth - 1)

    async def feed(self, session: Session, turn: str) -> None:
        """Feed something into a chat as a turn, to which the assistant reacts by itself."""
        session.turns.append(turn)
        await self._assistant(self, session, turn)
