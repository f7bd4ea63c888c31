"""A start names the user's other watches on its testbed."""

from tests.support.process import LAB
from tests.support.world import World


async def test_a_run_that_is_started_during_an_upgrade_of_its_lab_says_so(world: World) -> None:
    upgrade = (await world.call("start_upgrade", testbed=LAB, mode="build", build_number="6955"))[1:11]
    text = await world.call("run_pytest", lab=LAB, testcase=["Tests_CLI/test_poe.py"])
    assert f"Mind that {upgrade} goes on there too: upgrade of {LAB} to build 6955." in text


async def test_another_upgrade_before_the_first_was_picked_up_says_so(world: World) -> None:
    first = (await world.call("start_upgrade", testbed=LAB, mode="build", build_number="6955"))[1:11]
    text = await world.call("start_upgrade", testbed=LAB, mode="build", build_number="6950")
    assert f"Mind that {first} goes on there too" in text


async def test_a_start_names_a_watch_of_somebody_elses_run_on_the_testbed(world: World) -> None:
    exec_id = world.rival_runs("Tests_CLI")
    watch_id = (await world.call("start_watch", tool="get_execution", args={"exec_id": exec_id}))[1:11]
    plan = await world.call("start_upgrade", testbed=LAB, mode="build", build_number="6955", dry_run=True)
    assert f"Mind that {watch_id} goes on there too: execution {exec_id} on {LAB}." in plan


async def test_what_goes_on_elsewhere_is_not_mentioned(world: World) -> None:
    await world.call("start_upgrade", testbed="AT33_New_NAC", mode="build", build_number="6955")
    assert "Mind that" not in await world.call("run_pytest", lab=LAB, testcase=["Tests_CLI/test_poe.py"])
