"""One run: conversations start jobs while things go wrong; then it gets calm, and all that is known is gathered."""

import itertools
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anyio

from tests.chaos.check import Evidence, Story, read_store, unfinished
from tests.chaos.conversation import Conversation, builds_that_exist
from tests.chaos.server import Server, write_connector
from tests.chaos.storm import Storm
from tests.chaos.tp import Tp, simulated_tp

SERVERS = 3
NUMBERS_PER_WATCH = 10
FIRST_NUMBER = 10_000
TURN_SECONDS = 0.25
AFTERWARDS_SECONDS = 8.0
"""How long a conversation goes on after the storm if it has not started all it was to start."""


@dataclass(frozen=True)
class Plan:
    """How large a run is.

    Attributes:
        seed: what is drawn is drawn from it. How the processes interleave is the machine's.
        watches: how many starts are answered, at least.
        storm_seconds: how long jobs are started and things go wrong.
        trouble_seconds: from one trouble to the next, on average.
        calm_seconds: how long everything may take to come to its end afterwards.
        conversations: how many take part.
        speed: how many times faster than a real one TP works.
    """

    seed: int = 0
    watches: int = 300
    storm_seconds: float = 45.0
    trouble_seconds: float = 0.7
    calm_seconds: float = 60.0
    conversations: int = 12
    speed: float = 20.0

    @property
    def longest_disk_fault(self) -> float:
        """Seconds that the store is held, or its disk full, at most: in a long run longer than anyone waits for it."""
        return min(6.0, self.storm_seconds / 4)

    @property
    def most_dead(self) -> int:
        """How many workers may be dead at once."""
        return max(1, self.watches // 25)


async def run(plan: Plan, directory: Path, say: Callable[[str], None]) -> Evidence:
    """Carry a plan out in an empty directory, and return all that is known at its end."""
    write_connector(directory / "connector.yaml")
    story = Story()
    async with simulated_tp(plan.speed) as tp, anyio.create_task_group() as tasks:
        servers = [Server(f"server-{number}", tp.base_url, directory) for number in range(SERVERS)]
        for server in servers:
            tasks.start_soon(server.run)
        conversations = await _conversations(plan, tp, servers, story)
        end = time.monotonic() + plan.storm_seconds
        async with anyio.create_task_group() as stormy:
            storm = Storm(
                tp,
                servers,
                random.Random(f"{plan.seed}/storm"),
                plan.speed,
                plan.most_dead,
                directory / "state",
                plan.longest_disk_fault,
                stormy,
            )
            stormy.start_soon(_trouble, plan, storm, end)
            for conversation in conversations:
                stormy.start_soon(_talk, conversation, end, plan.storm_seconds)
        await tp.heal()
        for _ in range(len(storm.dead) // 2):
            await storm.revive()
        deaths = Counter({"kills": sum(server.kills for server in servers)}) + storm.done
        say(f"the storm is over: {dict(sorted(deaths.items()))}")
        await _calm(plan, tp, conversations, directory / "state", say)
        record = await tp.record()
        for server in servers:
            server.close()
    watches, entries = read_store(directory / "state")
    return Evidence(watches, entries, record, story)


async def _conversations(plan: Plan, tp: Tp, servers: list[Server], story: Story) -> list[Conversation]:
    labs = [f"C{plan.seed}_{number:04}" for number in range(max(plan.watches * 2 // 3, plan.conversations))]
    numbers = range(FIRST_NUMBER, FIRST_NUMBER + plan.watches * NUMBERS_PER_WATCH)
    builds = [{"number": number, "version": "7.6.6"} for number in builds_that_exist(plan.seed, numbers)]
    await tp.post("seed", played={"labs": labs}, builds=builds)
    counter = itertools.count(FIRST_NUMBER)
    return [
        Conversation(
            name=f"conversation-{index:02}",
            server=servers[index % len(servers)],
            story=story,
            rng=random.Random(f"{plan.seed}/{index}"),
            labs=labs[index :: plan.conversations],
            numbers=counter,
            quota=-(-plan.watches // plan.conversations),
        )
        for index in range(plan.conversations)
    ]


async def _trouble(plan: Plan, storm: Storm, end: float) -> None:
    while (left := end - time.monotonic()) > 0:
        await anyio.sleep(min(left, storm.rng.uniform(0.0, 2 * plan.trouble_seconds)))
        await storm.strike()


async def _talk(conversation: Conversation, end: float, seconds: float) -> None:
    """Start jobs evenly over the time of the storm, and look in between."""
    quota = conversation.quota
    while time.monotonic() < end or (conversation.could_start and time.monotonic() < end + AFTERWARDS_SECONDS):
        due = quota * min(1.0, 1.15 - (end - time.monotonic()) / seconds)
        if quota - conversation.quota < due and conversation.labs:
            await conversation.start()
        else:
            await conversation.look()
        await anyio.sleep(conversation.rng.uniform(0.0, 2 * TURN_SECONDS))


async def _calm(
    plan: Plan, tp: Tp, conversations: list[Conversation], state_dir: Path, say: Callable[[str], None]
) -> None:
    """Wait, as long as the plan allows, until every watch is where its job is and every end was shown."""
    end = time.monotonic() + plan.calm_seconds
    while time.monotonic() < end:
        record = await tp.record()
        on_tp = sum(1 for row in record["accepted"] if row["end"] is None and not row["worker_died"])
        watches, _ = read_store(state_dir)
        going_on = unfinished(watches, record)
        say(f"{on_tp} jobs under way on TP, {len(going_on)} of {len(watches)} watches not at their end")
        if not on_tp and not going_on:
            break
        async with anyio.create_task_group() as looking:
            for conversation in conversations:
                looking.start_soon(conversation.look)
        await anyio.sleep(1.0)
    async with anyio.create_task_group() as looking:
        for conversation in conversations:
            looking.start_soon(_listen, conversation, time.monotonic() + plan.calm_seconds)


async def _listen(conversation: Conversation, end: float) -> None:
    conversation.under_way.clear()
    while await conversation.look() and time.monotonic() < end:
        pass
