"""What goes on at a lab already is said when something else is started there."""

from tests.tools.world import LAB, World


async def test_a_run_that_is_started_during_an_upgrade_of_its_lab_says_so(world: World) -> None:
    upgrade = (await world.call("start_upgrade", testbed=LAB, mode="build", build_number="6955"))[1:11]
    text = await world.call("run_pytest", lab=LAB, testcase=["Tests_CLI/test_poe.py"])
    assert f"Mind that {upgrade} goes on there too: upgrade of {LAB} to build 6955." in text


async def test_another_upgrade_before_the_first_was_picked_up_says_so(world: World) -> None:
    first = (await world.call("start_upgrade", testbed=LAB, mode="build", build_number="6955"))[1:11]
    text = await world.call("start_upgrade", testbed=LAB, mode="build", build_number="6950")
    assert f"Mind that {first} goes on there too" in text


async def test_what_goes_on_elsewhere_is_not_mentioned(world: World) -> None:
    await world.call("start_upgrade", testbed="AT33_New_NAC", mode="build", build_number="6955")
    assert "Mind that" not in await world.call("run_pytest", lab=LAB, testcase=["Tests_CLI/test_poe.py"])
