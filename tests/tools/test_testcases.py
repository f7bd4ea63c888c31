import asyncio
from pathlib import Path

import pytest
from pydantic import JsonValue

from tests.support.process import hosted
from tests.support.world import World, open_world


def tree_of(*ids: str) -> JsonValue:
    """Return a tree as TP shows it."""
    root: dict[str, dict] = {}  # type: ignore[type-arg] # nested to any depth
    for one in ids:
        path, _, leaf = one.partition("::")
        here = root
        for part in [*path.split("/"), leaf]:
            here = here.setdefault(part, {})

    def children(of: dict[str, dict]) -> list[JsonValue]:  # type: ignore[type-arg] # nested to any depth
        return [{"name": name, **({"children": children(below)} if below else {})} for name, below in of.items()]

    return {"children": children(root)}


async def test_too_many_ids_are_told_as_directories_with_counts(world: World) -> None:
    assert await world.call("list_testcases") == (
        "155 tests: too many to list, so these are their places.\n\n"
        "Places (directory, file or class) with their numbers of tests:\n"
        "- Tests_CLI: 50\n- Tests_GUI: 7\n- Tests_HA: 6\n- Tests_Log: 6\n- Tests_Switch: 86\n\n"
        'Narrow it with prefix or search, or list the ids page by page: list_testcases(cursor="0").'
    )


async def test_a_prefix_goes_one_level_down(world: World) -> None:
    text = await world.call("list_testcases", prefix="/Tests_CLI/")
    assert text.startswith("50 tests below Tests_CLI: too many to list")
    assert "\n- Tests_CLI/security: " in text
    assert "\n- Tests_CLI/test_poe.py: 3\n" in text


async def test_a_search_finds_ids_that_have_every_word(world: World) -> None:
    text = await world.call("list_testcases", search="RADIUS authenticate")
    assert text.startswith("2 tests.\n\nTest ids:\n- Tests_CLI/security/test_radius.py::test_authenticate[alice]\n")
    assert text.endswith("Pass them to run_pytest as testcase.")


async def test_a_single_test_is_told_in_the_singular(world: World) -> None:
    text = await world.call("list_testcases", search="alice")
    assert text.startswith("1 test.\n")


async def test_a_search_without_a_match_says_among_how_many(world: World) -> None:
    text = await world.call("list_testcases", search="no such words")
    assert text == "No test matches 'no such words' among 155.\n\nTry fewer words."


async def test_a_wrong_prefix_is_refused_with_the_nearest(world: World) -> None:
    text = await world.refused("list_testcases", prefix="Tests_CLI/test_poo.py")
    assert text.startswith("prefix is 'Tests_CLI/test_poo.py', and no test is below it.")
    assert "Did you mean Tests_CLI/test_poe.py" in text
    assert (await world.refused("list_testcases", prefix="zzz")).endswith("Leave it empty to see the directories.")


async def test_ids_are_paged_by_cursor_to_the_last_one(world: World) -> None:
    first = await world.call("list_testcases", prefix="Tests_CLI", cursor="0")
    assert first.startswith("50 tests below Tests_CLI; these are 1 to 40.")
    assert first.endswith('list_testcases(prefix="Tests_CLI", cursor="40") shows the next page.')
    second = await world.call("list_testcases", prefix="Tests_CLI", cursor="40")
    assert second.startswith("50 tests below Tests_CLI; these are 41 to 50.")
    assert second.endswith("Pass them to run_pytest as testcase.")
    listed = [line for text in (first, second) for line in text.splitlines() if line.startswith("- ")]
    assert len(listed) == len(set(listed)) == 50


@pytest.mark.parametrize("cursor", ["50", "-1", "x", "99999999999", "²"])
async def test_a_cursor_that_was_never_given_is_refused(world: World, cursor: str) -> None:
    text = await world.refused("list_testcases", prefix="Tests_CLI", cursor=cursor)
    assert f"cursor is '{cursor}', which did not come from this list." in text
    assert 'cursor="0"' in text


async def test_the_tree_is_kept_for_a_while_and_its_age_is_told(world: World) -> None:
    await world.call("list_testcases")
    await world.advance(300)
    assert "155 tests, read 5 min ago: " in await world.call("list_testcases")
    assert "among 155, read 5 min ago." in await world.call("list_testcases", search="zzz")
    assert world.simulator.state.testcase_pulls == 1
    await world.advance(301)
    assert await world.call("list_testcases", search="alice")
    assert world.simulator.state.testcase_pulls == 2


async def test_many_at_once_make_tp_pull_once(world: World) -> None:
    texts = await asyncio.gather(*(world.call("list_testcases") for _ in range(10)))
    assert len(set(texts)) == 1
    assert world.simulator.state.testcase_pulls == 1


async def test_a_failed_read_is_told_and_the_next_one_tries_again(world: World) -> None:
    world.fault("get_testcases", status=404, times=1)
    assert "404" in await world.refused("list_testcases")
    assert (await world.call("list_testcases")).startswith("155 tests")


async def test_a_single_directory_is_passed_over_and_a_class_is_a_place(tmp_path: Path) -> None:
    ids = [f"a/b/test_c.py::TestD::test_{number}" for number in range(50)] + ["a/b/test_c.py::test_alone"]
    async with hosted(open_world(tmp_path, tree=tree_of(*ids))) as world:
        text = await world.call("list_testcases")
        assert "\n- a/b/test_c.py::TestD: 50\n- a/b/test_c.py::test_alone: 1\n" in text
        text = await world.call("list_testcases", prefix="a/b/test_c.py::TestD", search="test_4")
        assert text.startswith("11 tests below a/b/test_c.py::TestD.")


async def test_places_beyond_the_shown_ones_are_counted(tmp_path: Path) -> None:
    ids = [f"dir_{number}/test_a.py::test_a" for number in range(70)]
    async with hosted(open_world(tmp_path, tree=tree_of(*ids))) as world:
        assert "Only the first 60 of 70 places are shown." in await world.call("list_testcases")


async def test_a_tree_without_tests_and_with_unreadable_entries_says_both(tmp_path: Path) -> None:
    async with hosted(open_world(tmp_path, tree={"children": [7, {"name": ""}]})) as world:
        assert await world.call("list_testcases") == "TP has no test.\n\n2 entries of TP's tree could not be read."
