"""What the operator's policy, and a confirmation, let through; TP's own record shows what was sent."""

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from tests.support.process import LAB, hosted
from tests.support.world import World, open_world
from tp_mcp.access.audit_log import AuditFilter, Event
from tp_mcp.access.confirmations import CODE_SECONDS
from tp_mcp.redaction import Redactor
from tp_mcp.tools.framework.questions import Answer, QuestionForUser, Said
from tp_mcp.watch.model.watch import Owner

UPGRADE: dict[str, Any] = {"testbed": LAB, "mode": "build", "build_number": "6955"}
RUN: dict[str, Any] = {"lab": LAB, "testcase": ["Tests_CLI/test_poe.py"]}
Open = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture
def opened(tmp_path: Path, tree: JsonValue) -> Open:
    """Open a world with settings of its own."""

    @asynccontextmanager
    async def opening(**settings: Any) -> AsyncIterator[World]:
        async with hosted(open_world(tmp_path, tree=tree, **settings)) as world:
            yield world

    return opening


@dataclass
class User:
    """Somebody who is asked."""

    says: Answer = Answer.YES
    asked: list[str] = field(default_factory=list)
    earlier: Said | None = None
    meanwhile: Callable[[], object] = lambda: None

    async def ask(self, question: str, code: str) -> Said:
        self.asked.append(question)
        self.meanwhile()
        return Said(code, self.says)


def code_in(text: str) -> str:
    found = re.search(r"\bc_[0-9a-f]{12}\b", text)
    assert found, text
    return found[0]


async def audited(world: World) -> list[tuple[str, str]]:
    return [(entry.tool, entry.event) for entry in await world.services.access.audit.read(AuditFilter())]


async def test_an_upgrade_is_shown_first_and_started_by_the_code_of_its_plan(opened: Open) -> None:
    async with opened(confirm="upgrades") as world:
        shown = await world.call("start_upgrade", **UPGRADE)
        assert shown.startswith("Nothing was started yet: this is the plan.")
        for told in (
            f"Upgrade of {LAB} to build 6955.",
            f"Testbed: {LAB} (Available)",
            "Devices: ",
            "-> build 6955",
            "Executions going on there: none known",
        ):
            assert told in shown
        assert world.written == []
        text = await world.call("start_upgrade", **UPGRADE, confirm=code_in(shown))
        assert "is under way" in text
        assert world.written == ["start_upgrade"]
        assert await audited(world) == [
            ("start_upgrade", event)
            for event in (
                Event.ASKED, Event.SHOWN, Event.OUTCOME,
                Event.ASKED, Event.CONFIRMED, Event.SENDING, Event.OUTCOME,
            )
        ]  # fmt: skip


async def test_a_code_starts_nothing_but_its_plan(opened: Open) -> None:
    async with opened(confirm="upgrades") as world:
        code = code_in(await world.call("start_upgrade", **UPGRADE))
        other = {**UPGRADE, "build_number": "6957"}
        assert "no longer what the code was given for" in await world.refused("start_upgrade", **other, confirm=code)
        chained = {**UPGRADE, "on_done": {"tool": "run_pytest", "args": RUN}}
        assert "Then: on_done" in await world.refused("start_upgrade", **chained, confirm=code)
        stranger = Owner("local:alice", "environment:two", exact=True)
        said = await world.refused("start_upgrade", **UPGRADE, confirm=code, owner=stranger)
        assert "no such code in this conversation" in said
        await world.advance(CODE_SECONDS)
        assert "older than" in await world.refused("start_upgrade", **UPGRADE, confirm=code)
        assert world.written == []


async def test_what_began_on_the_testbed_since_the_plan_was_shown_stops_it(opened: Open) -> None:
    async with opened(confirm="upgrades") as world:
        code = code_in(await world.call("start_upgrade", **UPGRADE))
        own = world.simulator.start_execution("demo", {"user": "demo", **RUN, "argument": ""}).exec_id
        said = await world.refused("start_upgrade", **UPGRADE, confirm=code)
        assert f"Executions going on there: {own}" in said
        assert world.written == []


async def test_a_run_needs_no_confirmation_by_default_and_its_plan_can_be_seen(opened: Open) -> None:
    async with opened(confirm="upgrades") as world:
        shown = await world.call("run_pytest", **RUN, dry_run=True)
        assert shown.startswith("Nothing was started: this is the plan.")
        assert "Call again without dry_run" in shown
        assert world.written == []
        await world.call("run_pytest", **RUN)
        assert world.written == ["start_pytest"]


async def test_where_everything_is_confirmed_a_run_and_its_end_are_too(opened: Open) -> None:
    async with opened(confirm="everything") as world:
        code = code_in(await world.call("run_pytest", **RUN))
        await world.call("run_pytest", **RUN, confirm=code)
        await world.advance(5)
        shown = await world.call("cancel_execution", exec_id=446)
        assert "End of execution 446" in shown
        await world.call("cancel_execution", exec_id=446, confirm=code_in(shown))
        locked = await world.call("lock_lab", lab=LAB)
        await world.call("lock_lab", lab=LAB, confirm=code_in(locked))
        assert world.written == ["start_pytest", "kill_execution", "lock_lab"]
        assert "this is the plan" in await world.call("unlock_lab", lab=LAB)


async def test_the_user_is_asked_where_their_client_can_and_the_whole_chain_is_shown_once(opened: Open) -> None:
    async with opened(confirm="everything") as world:
        user = User()
        chained = {**UPGRADE, "on_done": {"tool": "run_pytest", "args": RUN}}
        await world.call("start_upgrade", **chained, asker=user)
        (question,) = user.asked
        assert f"Upgrade of {LAB} to build 6955." in question
        assert 'Then: on_done: {"tool": "run_pytest"' in question
        assert question.endswith("Do it now?")
        await world.advance(600)
        assert world.written == ["start_upgrade", "start_pytest"]
        assert len(user.asked) == 1


@pytest.mark.parametrize(
    ("answer", "words"), [(Answer.NO, "The user did not agree"), (Answer.NONE, "did not answer in time")]
)
async def test_without_the_users_yes_nothing_is_sent(opened: Open, answer: Answer, words: str) -> None:
    async with opened(confirm="upgrades") as world:
        assert words in await world.refused("start_upgrade", **UPGRADE, asker=User(answer))
        assert world.written == []
        assert (await audited(world))[-1] == ("start_upgrade", Event.REFUSED)


async def test_what_changed_while_the_user_thought_stops_it(opened: Open) -> None:
    async with opened(confirm="upgrades") as world:
        body = {"user": "demo", **RUN, "argument": ""}
        user = User(meanwhile=lambda: world.simulator.start_execution("demo", body))
        assert "no longer what the code was given for" in await world.refused("start_upgrade", **UPGRADE, asker=user)
        assert world.written == []


async def test_an_answer_that_comes_with_another_round_is_taken_for_its_own_question(opened: Open) -> None:
    class NextRound(User):
        async def ask(self, question: str, code: str) -> Said:
            raise QuestionForUser(Redactor().safe(question), code)

    async with opened(protected_testbeds=(LAB,)) as world:
        with pytest.raises(QuestionForUser) as asked:
            await world.call("start_upgrade", **UPGRADE, asker=NextRound())
        yes = NextRound(earlier=Said(asked.value.code, Answer.YES))
        await world.call("start_upgrade", **UPGRADE, asker=yes)
        assert world.written == ["start_upgrade"]
        made_up = NextRound(earlier=Said("c_000000000000", Answer.YES))
        said = await world.refused("start_upgrade", **{**UPGRADE, "build_number": "6957"}, asker=made_up)
        assert "no such code" in said


async def test_a_protected_testbed_waits_for_a_person_and_a_code_alone_is_not_enough(opened: Open) -> None:
    async with opened(protected_testbeds=("AT16*",)) as world:
        shown = await world.call("run_pytest", **RUN)
        code = code_in(shown)
        assert f"tp-mcp approve {code}" in shown
        assert "You cannot approve it for them" in shown
        assert "Nobody has approved it yet" in await world.refused("run_pytest", **RUN, confirm=code)
        assert world.written == []
        await world.services.access.confirmations.approve(code)
        await world.call("run_pytest", **RUN, confirm=code)
        assert world.written == ["start_pytest"]


async def test_where_two_steps_are_not_enough_a_client_that_cannot_ask_is_refused(opened: Open) -> None:
    async with opened(confirm="upgrades", unasked="refuse") as world:
        assert "this client cannot ask its user" in await world.refused("start_upgrade", **UPGRADE)
        assert world.written == []


async def test_what_the_policy_does_not_allow_is_refused_and_logged_also_later_in_a_chain(opened: Open) -> None:
    async with opened(allowed_testbeds=("AT21*",)) as world:
        for name, arguments in (("start_upgrade", UPGRADE), ("run_pytest", RUN)):
            assert "may not be changed through this server" in await world.refused(name, **arguments)
        chained = {"lab": "AT21_HA_Pair", "testcase": ["Tests_CLI"], "on_done": {"tool": "run_pytest", "args": RUN}}
        assert "on_done would be refused" in await world.refused("run_pytest", **chained)
        upgrading = {**chained, "on_done": {"tool": "start_upgrade", "args": UPGRADE}}
        assert "on_done would be refused" in await world.refused("run_pytest", **upgrading)
        assert world.written == []
        assert {event for _, event in await audited(world)} == {Event.ASKED, Event.REFUSED}


async def test_read_only_refuses_every_change(opened: Open) -> None:
    async with opened(read_only=True) as world:
        exec_id = world.rival_runs("Tests_CLI")
        for name, arguments in (
            ("start_upgrade", UPGRADE),
            ("run_pytest", RUN),
            ("cancel_execution", {"exec_id": exec_id}),
            ("lock_lab", {"lab": LAB}),
        ):
            assert "read-only" in await world.refused(name, **arguments)
        assert world.written == []


async def test_a_budget_counts_what_was_sent_for_a_principal(opened: Open) -> None:
    async with opened(daily_runs=1) as world:
        await world.call("run_pytest", **RUN)
        await world.run_to_its_end(446)
        await world.advance(60)
        again = {**RUN, "argument": "-x"}
        assert "The budget of 1 run in 24 hours is used up" in await world.refused("run_pytest", **again)
        await world.call("run_pytest", **again, owner=Owner("local:bob", "environment:one", exact=True))
        await world.advance(24 * 3600)
        assert world.written == ["start_pytest", "start_pytest"]


@pytest.mark.parametrize("unfit", ["dry_run", "confirm"])
async def test_nothing_is_asked_later_in_a_chain(world: World, unfit: str) -> None:
    step = {"tool": "run_pytest", "args": {**RUN, unfit: "true"}}
    assert f"on_done has {unfit}" in await world.refused("start_upgrade", **UPGRADE, on_done=step)


async def test_the_plan_is_shown_where_tp_cannot_say_who_runs_what(opened: Open) -> None:
    async with opened(confirm="upgrades") as world:
        world.fault("list_executions", status=404)
        world.fault("list_labs", status=404)
        shown = await world.call("start_upgrade", **UPGRADE, dry_run=True)
        assert "Executions going on there: none known" in shown


async def test_a_call_that_ends_by_a_fault_of_ours_is_in_the_log(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened() as world:

        async def broken(_name: str) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(world.services.tp.client, "get_upgrade", broken)
        with pytest.raises(ZeroDivisionError):
            await world.call("start_upgrade", **UPGRADE)
        entries = await world.services.access.audit.read(AuditFilter())
        assert (entries[-1].event, entries[-1].detail) == (Event.OUTCOME, "ended by ZeroDivisionError")


async def test_the_log_has_the_arguments_but_not_the_password_of_a_command(opened: Open) -> None:
    async with opened() as world:
        line = "execute restore image scp /builds/fsw/6957/image.out 10.1.1.1 builder Hunter2Secret"
        await world.call("start_upgrade", testbed=LAB, mode="command", command=line)
        entries = await world.services.access.audit.read(AuditFilter())
        assert json.loads(entries[0].detail) == {"testbed": LAB, "mode": "command", "command": "(masked)"}
        assert "Hunter2Secret" not in str(entries)


async def test_a_command_needs_its_host_to_be_configured(opened: Open) -> None:
    async with opened(image_hosts=()) as world:
        line = "execute restore image scp /builds/fsw/6957/image.out 10.1.1.1 builder Hunter2Secret"
        said = await world.refused("start_upgrade", testbed=LAB, mode="command", command=line)
        assert "TP_MCP_IMAGE_HOSTS" in said
        assert world.written == []
