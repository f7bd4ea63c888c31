from tests.tools.world import LAB, World
from tp_mcp.simulator.testbeds.lab import Device, Lab


async def test_labs_are_listed_with_status_people_and_devices(world: World) -> None:
    text = await world.call("list_labs")
    assert text.startswith("4 labs that demo may use; 4 available.\n")
    assert f"- {LAB}: Available; owned by demo; shared with rival; devices: at16-nac-1 10.15.52.152" in text
    assert "AT40_Rival_NAC" not in text
    assert text.endswith("The name is the testbed of start_upgrade and the lab of run_pytest.")
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
