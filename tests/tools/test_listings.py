import pytest
from pydantic import JsonValue

from tests.tools.world import LAB, World


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
    assert "not of the expected shape" in await world.refused("list_versions")


async def test_recent_executions_are_listed_with_their_ids(world: World) -> None:
    ended = world.ended_execution()
    await world.call("run_pytest", lab="AT33_New_NAC", testcase=["Tests_CLI/test_system.py"])
    text = await world.call("list_executions")
    assert text.startswith("2 recent executions of demo; 1 going on.")
    assert f"- {ended} on {LAB}: Done, progress 100, started 2026-05-29 " in text
    assert f"- {ended + 1} on AT33_New_NAC: Initiating, progress 0" in text
    text = await world.call("list_executions", lab=LAB)
    assert text.startswith("1 recent execution of demo; 0 going on.")


async def test_no_execution_is_said(world: World) -> None:
    assert await world.call("list_executions") == "TP lists no recent execution of demo."
    world.ended_execution()
    text = await world.call("list_executions", lab="AT33_New_NAC")
    assert text == "TP lists no recent execution of demo on AT33_New_NAC among 1."


async def test_rows_that_say_little_are_listed_all_the_same(world: World) -> None:
    world.answers("list_executions", [{"progress": None}])
    assert "- unknown id on an unknown lab: status unknown" in await world.call("list_executions")
