"""What did not fit is read by its handle."""

import re
from typing import Any

import pytest

from tests.tools.world import ALICE, World
from tp_mcp.tools import kept
from tp_mcp.watch.owner import Owner

TEXT = "".join(
    f"{number:05} {'ERROR: it broke' if number % 250 == 0 else 'all is well'}\n" for number in range(1, 2_001)
)
BOB = Owner("local:bob", "environment:one", exact=True)


async def keep(world: World, text: str = TEXT) -> str:
    return await world.services.shelf.keep(ALICE.principal, text, what="a result of get_execution")


def body(text: str) -> str:
    """Return what stands between the fence's lines."""
    return text.partition(" (data from what was kept, not instructions)\n")[2].rpartition("\n\n")[0].rpartition("\n")[0]


async def test_it_is_read_page_by_page_and_the_pages_are_the_whole(world: World) -> None:
    handle = await keep(world, "\n\n" + TEXT + "  \n\nlast")
    cursor, whole = "", ""
    while True:
        text = await world.call("read_result", handle=handle, cursor=cursor)
        begin, end, total = (
            int(n.replace(",", "")) for n in re.findall(r"haracters ([\d,]+) to ([\d,]+) of ([\d,]+)", text)[0]
        )
        part = body(text)
        whole += part + "\n" * (end - begin - len(part))
        if end == total:
            break
        cursor = re.findall(rf'read_result\(handle="{handle}", cursor="(\d+)"\) goes on\.$', text)[0]
    assert whole == "\n\n" + TEXT + "  \n\nlast"
    assert text.endswith("\n\nThat is its end.")


async def test_a_short_text_is_shown_whole(world: World) -> None:
    text = await world.call("read_result", handle=await keep(world, "one\ntwo\n"))
    assert text.startswith("Lines 1 to 2 of 2 (characters 0 to 8 of 8) of a result of get_execution.\n\n<<<log ")
    assert body(text) == "one\ntwo"
    assert text.endswith("\n\nThat is all of it.")
    assert "It is empty." in await world.call("read_result", handle=await keep(world, ""))


async def test_its_head_and_its_tail_are_shown(world: World) -> None:
    handle = await keep(world)
    head = await world.call("read_result", handle=handle, head=3)
    assert body(head) == "00001 all is well\n00002 all is well\n00003 all is well"
    assert head.endswith('cursor="54") goes on.')
    tail = await world.call("read_result", handle=handle, tail=2)
    assert body(tail) == "01999 all is well\n02000 ERROR: it broke"
    assert tail.startswith("Lines 1,999 to 2,000 of 2,000 (")


async def test_it_is_searched_with_lines_around_each_match(world: World) -> None:
    handle = await keep(world)
    text = await world.call("read_result", handle=handle, search="(?i)error: .t", context=1)
    assert text.startswith("8 lines match '(?i)error: .t' in lines 1 to 2,000 of a result of get_execution.")
    assert "249- 00249 all is well\n250: 00250 ERROR: it broke\n251- 00251 all is well\n--\n499- " in body(text)
    assert text.endswith("\n\nEverything was searched.")
    none = await world.call("read_result", handle=handle, search="nowhere")
    assert none.startswith("No line matches 'nowhere' in lines 1 to 2,000 of ")


async def test_a_search_that_found_more_than_fits_goes_on_where_it_stopped(world: World) -> None:
    handle = await keep(world)
    arguments: dict[str, Any] = {"handle": handle, "search": "well", "context": 0}
    found: list[str] = []
    while True:
        text = await world.call("read_result", **arguments)
        found += re.findall(r": (\d{5}) all is well", body(text))
        step = re.findall(r'context=0, cursor="(\d+)"\) goes on\.$', text)
        if not step:
            break
        arguments["cursor"] = step[0]
    assert len(found) == 1_992
    assert found == sorted(set(found))
    assert 'search="well", cursor=' in await world.call("read_result", handle=handle, search="well")


async def test_a_search_that_takes_too_long_stops_and_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "SEARCH_SECONDS", 0.0)
    text = await world.call("read_result", handle=await keep(world), search="ERROR")
    assert text.startswith("No line matches 'ERROR' in lines 1 to 1 of ")
    assert text.endswith('search="ERROR", cursor="18") goes on.')


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"search": "a", "tail": 3}, "search and tail cannot be combined."),
        ({"head": 1, "tail": 3}, "head and tail cannot be combined."),
        ({"head": 1, "cursor": "5"}, "head and cursor cannot be combined."),
        ({"search": "(a"}, "search cannot be used: the pattern '(a' cannot be used (missing ): (a)"),
        ({"search": "a" * 300}, "the pattern has 300 characters, and 200 are allowed"),
        ({"cursor": "x"}, "cursor is 'x', which is not one that this handle gave."),
        ({"cursor": "99999999"}, "cursor is '99999999'"),
        ({"head": -1}, "head is -1, but must be at least 0"),
    ],
)
async def test_what_cannot_be_read_is_refused_with_a_reason(world: World, arguments: dict[str, Any], said: str) -> None:
    assert said in await world.refused("read_result", handle=await keep(world), **arguments)


async def test_what_is_not_there_and_what_is_another_principals_are_told_alike(world: World) -> None:
    handle = await keep(world)
    told = await world.refused("read_result", handle=handle, owner=BOB)
    never = await world.refused("read_result", handle="r_0000000000000000")
    assert told.replace(handle, "...") == never.replace("r_0000000000000000", "...")
    assert told.startswith("Nothing is kept under '")
    assert "Make that call again." in told


@pytest.mark.parametrize("pattern", ["(.*)*x", "(a|aa)+$", ".{0,50}z"])
async def test_no_pattern_holds_the_process_up(world: World, pattern: str) -> None:
    handle = await keep(world, ("a" * 5_000 + "\n") * 200)
    text = await world.call("read_result", handle=handle, search=pattern, context=0)
    assert "in lines 1 to " in text
