import pytest
from pydantic import JsonValue

from tests.support.process import LAB
from tests.support.world import World
from tp_mcp.simulator.testbeds.lab import Device, Lab


async def test_labs_are_listed_with_status_people_and_devices(world: World) -> None:
    text = await world.call("list_labs")
    assert text.startswith("4 labs that demo may use; 4 available.\n")
    assert f"- {LAB}: Available; owned by demo; shared with rival; devices: at16-nac-1 10.15.52.152" in text
    assert "AT40_Rival_NAC" not in text
    assert text.endswith("Use the name as testbed of start_upgrade and as lab of run_pytest.")
    assert world.asked == ["list_labs"]


async def test_a_search_narrows_the_list_and_ignores_case(world: World) -> None:
    text = await world.call("list_labs", search="at16")
    assert text.startswith("1 lab matching 'at16' (of 4) that demo may use; 1 available.")
    assert "AT33_New_NAC" not in text


async def test_a_search_that_finds_nothing_says_how_to_see_all(world: World) -> None:
    text = await world.call("list_labs", search="AT99")
    assert text == "No lab for demo: none of the 4 matches 'AT99'.\n\nlist_labs() shows all."


async def test_a_user_without_labs_is_told_so(world: World) -> None:
    world.simulator.state.labs.clear()
    assert await world.call("list_labs") == "No lab for demo: TP lists none."


async def test_a_lab_with_many_people_and_devices_is_told_in_short(world: World) -> None:
    people = tuple(f"user{number}" for number in range(20))
    devices = tuple(Device(f"nac-{number}", f"10.0.0.{number}") for number in range(20))
    world.simulator.state.add_lab(Lab("Crowded", "10.0.0.99", devices, ("demo", *people)))
    world.simulator.state.add_lab(Lab("Bare", "10.0.0.98", (), ("demo",)))
    world.simulator.state.add_lab(Lab("Nobodys", "10.0.0.97", (), (), ("demo",)))
    text = await world.call("list_labs", search="r")
    assert "- Nobodys: Available; shared with demo" in await world.call("list_labs", search="nobody")
    assert "user4 and 15 more" in text
    assert "nac-5 10.0.0.5 and 14 more" in text
    assert "- Bare: Available; owned by demo\n" in text


async def test_a_lab_is_marked_and_freed_and_the_list_shows_it(world: World) -> None:
    text = await world.call("lock_lab", lab=LAB)
    assert text.startswith(f"TP was asked to mark {LAB} as taken by demo.")
    assert "unlock_lab removes it" in text
    assert f"- {LAB}: Running" in await world.call("list_labs")
    text = await world.call("unlock_lab", lab=LAB)
    assert text.startswith(f"TP was asked to remove demo's mark from {LAB}.")
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
    assert "is unknown whether" in await world.refused("lock_lab", lab=LAB)
    assert world.written == ["lock_lab"]


async def test_versions_are_listed_for_an_upgrade(world: World) -> None:
    text = await world.call("list_versions")
    assert text.startswith("TP's automation knows 4 versions.")
    assert "- 7.4.9\n- 7.6.4\n- 7.6.5\n- 7.6.6\n" in text


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([], "TP lists no version."),
        ({"versions": ["7.6.5"]}, "- 7.6.5"),
        ([{"version": "7.6.5"}, {"name": "7.6.6"}, None, {}], "2 versions"),
    ],
)
async def test_versions_are_understood_in_other_shapes(world: World, answer: JsonValue, said: str) -> None:
    world.answers("list_versions", answer)
    assert said in await world.call("list_versions")


async def test_versions_of_no_known_shape_are_an_error(world: World) -> None:
    world.answers("list_versions", "7.6.5")
    assert "has an unexpected shape" in await world.refused("list_versions")
