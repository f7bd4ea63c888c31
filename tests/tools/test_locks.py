import pytest

from tests.tools.world import LAB, World


async def test_a_lab_is_marked_and_freed_and_the_list_shows_it(world: World) -> None:
    text = await world.call("lock_lab", lab=LAB)
    assert text.startswith(f"TP was asked to mark {LAB} as taken by demo.")
    assert "unlock_lab takes it away" in text
    assert f"- {LAB}: Running" in await world.call("list_labs")
    text = await world.call("unlock_lab", lab=LAB)
    assert text.startswith(f"TP was asked to take demo's mark from {LAB}.")
    assert f"- {LAB}: Available" in await world.call("list_labs")
    assert world.written == ["lock_lab", "lock_lab"]


@pytest.mark.parametrize("tool", ["lock_lab", "unlock_lab"])
@pytest.mark.parametrize("lab", ["AT99", "../token-auth", ""])
async def test_a_lab_that_is_none_of_the_user_s_is_refused_and_nothing_is_sent(
    world: World, tool: str, lab: str
) -> None:
    assert f"lab is {lab!r}" in await world.refused(tool, lab=lab)
    assert world.written == []


async def test_a_mark_of_somebody_else_is_told_with_tp_s_words(world: World) -> None:
    world.simulator.state.lock_lab("rival", {"user": "rival", "name": LAB, "action": "lock"})
    for tool in ("lock_lab", "unlock_lab"):
        assert f"'{LAB}' is locked by 'rival'" in await world.refused(tool, lab=LAB)


async def test_a_mark_whose_answer_is_lost_is_sent_once(world: World) -> None:
    world.fault("lock_lab", "drop", when="after")
    assert "is not known" in await world.refused("lock_lab", lab=LAB)
    assert world.written == ["lock_lab"]
