"""The user of a real client is asked, the way each protocol era does it."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pytest
from mcp.client import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult, ErrorData

from tests.server.conftest import Connect
from tests.support.process import LAB
from tests.support.world import World
from tp_mcp.access.policy import Policy

UPGRADE: dict[str, Any] = {"testbed": LAB, "mode": "build", "build_number": "6955"}
ERAS = pytest.mark.parametrize("mode", ["legacy", "auto"])


@dataclass
class User:
    """Somebody in front of a client."""

    action: Literal["accept", "decline", "cancel"] = "accept"
    content: dict[str, Any] | None = field(default_factory=lambda: {"do_it": True})
    asked: list[str] = field(default_factory=list)

    async def __call__(self, _context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult | ErrorData:
        self.asked.append(params.message)
        return ElicitResult(action=self.action, content=self.content)


@pytest.fixture
def guarded(world: World) -> World:
    access = replace(world.services.access, policy=Policy(protected_testbeds=(LAB,)))
    world.services = replace(world.services, access=access)
    return world


@ERAS
async def test_the_user_is_asked_with_the_plan_and_the_upgrade_starts(
    guarded: World, connect: Connect, mode: str
) -> None:
    user = User()
    async with connect(mode=mode, elicitation_callback=user) as chat:
        assert "is under way" in await chat.call("start_upgrade", **UPGRADE)
    (question,) = user.asked
    assert question.startswith(f"Upgrade of {LAB} to build 6955.")
    assert guarded.written == ["start_upgrade"]


@ERAS
@pytest.mark.parametrize(
    "user",
    [
        User("decline", None),
        User("cancel", None),
        User("accept", {"do_it": False}),
        User("accept", {"do_it": "perhaps"}),
        User("accept", {}),
        User("accept", None),
    ],
    ids=["declines", "closes it", "says no", "answers something else", "answers nothing", "accepts without an answer"],
)
async def test_nothing_is_sent_unless_the_user_says_yes(
    guarded: World, connect: Connect, mode: str, user: User
) -> None:
    async with connect(mode=mode, elicitation_callback=replace(user, asked=[])) as chat:
        said = await chat.refused("start_upgrade", **UPGRADE)
    assert "The user did not" in said
    assert "Do not ask again" in said
    assert guarded.written == []


@ERAS
async def test_a_client_that_cannot_ask_gets_a_code_that_a_person_has_to_approve(
    guarded: World, connect: Connect, mode: str
) -> None:
    async with connect(mode=mode) as chat:
        assert "tp-mcp approve c_" in await chat.call("start_upgrade", **UPGRADE)
    assert guarded.written == []


@ERAS
async def test_the_question_shows_no_secret(guarded: World, connect: Connect, mode: str) -> None:
    user = User("decline", None)
    command = "execute restore image scp /builds/fsw/6957/image.out 10.1.1.1 builder Hunter2Secret"
    async with connect(mode=mode, elicitation_callback=user) as chat:
        await chat.refused("start_upgrade", testbed=LAB, mode="command", command=command)
    (question,) = user.asked
    assert "10.1.1.1" in question
    assert "Hunter2Secret" not in question


@ERAS
async def test_the_question_shows_no_password_that_tp_shows(guarded: World, connect: Connect, mode: str) -> None:
    state = guarded.simulator.state
    state.add_lab(replace(state.labs[LAB], usedby=(state.users["demo"].password, "carol")))
    user = User("decline", None)
    async with connect(mode=mode, elicitation_callback=user) as chat:
        await chat.refused("start_upgrade", **UPGRADE)
    (question,) = user.asked
    assert "[redacted], carol" in question
    assert state.users["demo"].password not in question
