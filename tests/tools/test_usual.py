"""How long it usually takes, as a model reads it."""

from typing import Any

import pytest

from tests.support.process import LAB
from tests.support.world import World

pytestmark = pytest.mark.slow


POE = "Tests_CLI/test_poe.py"
UPGRADE: dict[str, Any] = {"testbed": LAB, "mode": "build"}
BUILDS = ("6955", "6957", "6955", "6957")


async def test_after_three_upgrades_the_fourth_says_how_long_it_will_take(world: World) -> None:
    for build in BUILDS[:3]:
        text = await world.call("start_upgrade", **UPGRADE, build_number=build)
        assert "Usually" not in text
        waited = await world.call("wait_for_watch", watch_id=text[1:11], max_wait_seconds=0)
        assert "An upgrade usually takes 2 to 15 minutes." in waited
        await world.advance(600)
    text = await world.call("start_upgrade", **UPGRADE, build_number=BUILDS[3])
    assert "\n\nUsually " in text
    assert ", 9 of 10 within " in text
    await world.advance(30)
    text = await world.call("wait_for_watch", watch_id=text[1:11], max_wait_seconds=0)
    now = next(line for line in text.splitlines() if line.startswith("Now: "))
    assert " left." in now
    assert "An upgrade usually takes" not in text
    assert "Usually " in text
    assert " left)" in await world.call("list_watches")
    assert " left" in await world.call("start_upgrade", **UPGRADE, build_number=BUILDS[3])


async def test_runs_tell_by_tps_own_timestamps_and_a_listing_is_not_compared_with_them(world: World) -> None:
    for _ in range(3):
        text = await world.call("run_pytest", lab=LAB, testcase=[POE])
        await world.run_to_its_end(int(text.split("(execution ")[1].split(")")[0]))
        await world.advance(61)
    text = await world.call("run_pytest", lab=LAB, testcase=[POE], argument="-x")
    assert "\n\nUsually " in text
    await world.run_to_its_end(449)
    assert "Usually" not in await world.call("run_pytest", lab=LAB, testcase=[POE], argument="--collect-only")
