"""What one conversation does: it starts jobs, looks at its watches now and then, and remembers what it was told."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.chaos.check import RUN_MARK, Story
from tests.chaos.server import Server
from tp_mcp.server.rendering import INBOX_HEADING

TEST = "Tests_CLI/test_system.py"
UPGRADE_SHARE = 0.35
BROKEN_BUILD_SHARE = 0.2
CANCEL_SHARE = 0.04
CHAIN_SHARE = 0.15
OBSERVE_SHARE = 0.06
_WATCH_ID = re.compile(r"^\[(w_\w{8})\] (.*)$", re.MULTILINE)
_EXECUTION = re.compile(r"\(execution (\d+)\)")
_END = re.compile(
    r"is (?:probably )?done|(?:probably )?failed|is (?:probably )?lost|was (?:probably )?not finished"
    r"|was not started|may not have started|was cancelled on TP"
    r"|is no longer watched"
)


@dataclass
class Conversation:
    """One conversation in one window.

    Attributes:
        name: its key.
        server: the window.
        story: where it writes down what it was told.
        labs: labs on which nothing of it is under way.
        numbers: numbers for its calls, each used once.
        quota: how many starts are still to be answered.
    """

    name: str
    server: Server
    story: Story
    rng: random.Random
    labs: list[str]
    numbers: Iterator[int]
    quota: int
    under_way: dict[str, str] = field(default_factory=dict)

    @property
    def could_start(self) -> bool:
        """Whether it has starts left, and a lab for one now or when a job ends."""
        return self.quota > 0 and bool(self.labs or self.under_way)

    async def start(self) -> None:
        """Start a job on a free lab, one with a number of its own."""
        if not self.labs or self.quota <= 0:
            await self.look()
            return
        lab, number = self.labs.pop(0), next(self.numbers)
        chained = self.rng.random() < CHAIN_SHARE
        if self.rng.random() < UPGRADE_SHARE:
            further = {"on_done": _run_on("{args.testbed}", next(self.numbers))} if chained else {}
            answer = await self._call(
                "start_upgrade", testbed=lab, mode="build", build_number=build_of(number), **further
            )
        else:
            further = {"on_done": _upgrade_of(next(self.numbers)), "on_fail": _run_on("{args.lab}", next(self.numbers))}
            answer = await self._call(
                "run_pytest", lab=lab, testcase=[TEST], argument=_mark_of(number), **(further if chained else {})
            )
        if answer is None:
            # Whether it was started is not known: a person would look before using that lab again.
            self.quota -= 1
            return
        text, is_error = answer
        if is_error:
            self.story.refused.add(number)
            self.labs.append(lab)
            return
        self.quota -= 1
        found = _WATCH_ID.match(text)
        assert found is not None, text
        if self.rng.random() < CANCEL_SHARE:
            await self._call("cancel_watch", watch_id=found[1])
            return
        if chained:
            # Its lab is the chain's from now on.
            return
        self.under_way[found[1]] = lab
        execution = _EXECUTION.search(found[2])
        if execution is not None and self.rng.random() < OBSERVE_SHARE:
            await self._call("start_watch", tool="get_execution", args={"exec_id": int(execution[1])})

    async def look(self) -> bool:
        """Look at the watches in one way or another; return whether any end was shown."""
        if self.under_way and self.rng.random() < 0.4:
            watch_id = self.rng.choice(sorted(self.under_way))
            answer = await self._call("wait_for_watch", watch_id=watch_id, max_wait_seconds=1)
        else:
            answer = await self._call("list_watches", state="active")
        return answer is None or INBOX_HEADING in answer[0]

    async def _call(self, tool: str, /, **arguments: object) -> tuple[str, bool] | None:
        answer = await self.server.call(self.name, tool, **arguments)
        if answer is not None and not (answer[1] and tool == "wait_for_watch"):
            body, _, inbox = answer[0].partition(INBOX_HEADING)
            told = [*_WATCH_ID.findall(inbox), *(_WATCH_ID.findall(body)[:1] if tool == "wait_for_watch" else ())]
            for watch_id, headline in told:
                if (end := _END.search(headline)) is not None:
                    self.story.shown.setdefault(watch_id, set()).add((self.name, end[0]))
                    if (lab := self.under_way.pop(watch_id, None)) is not None:
                        self.labs.append(lab)
        return answer


def _mark_of(number: int) -> str:
    return f"-k {RUN_MARK}{number:05}"


def _run_on(lab: str, number: int) -> dict[str, object]:
    return {"tool": "run_pytest", "args": {"lab": lab, "testcase": [TEST], "argument": _mark_of(number)}}


def _upgrade_of(number: int) -> dict[str, object]:
    args = {"testbed": "{args.lab}", "mode": "build", "build_number": build_of(number)}
    return {"tool": "start_upgrade", "args": args}


def build_of(number: int) -> str:
    """Return the build that the upgrade of a call asks for."""
    return f"{number:05}"


def builds_that_exist(seed: int, numbers: range) -> list[str]:
    """Return the builds that TP can load; an upgrade to another one fails."""
    chance = random.Random(f"{seed}/builds")
    return [build_of(number) for number in numbers if chance.random() >= BROKEN_BUILD_SHARE]
