import re
from typing import Any

import pytest
from pydantic import JsonValue

from tests.support.process import ALICE, LAB
from tests.support.world import World

BAD_BUILD: dict[str, Any] = {"testbed": LAB, "mode": "build", "build_number": "6957"}
COMMAND = "execute restore image scp /images/FSW-build6955.out 10.1.1.1 builder s3cret-word"


def watch_id(text: str) -> str:
    found = re.match(r"\[(w_[0-9a-z]{8})\] ", text)
    assert found, f"the first line has no watch id: {text}"
    return found[1]


async def test_an_upgrade_returns_at_once_with_the_watchs_id_first_and_the_wait_last(world: World) -> None:
    text = await world.call("start_upgrade", **BAD_BUILD)
    first, *_, last = text.split("\n")
    assert first == f"[{watch_id(text)}] upgrade of {LAB} to build 6957 is under way."
    assert last == f'wait_for_watch(watch_id="{watch_id(text)}") waits for it. Run tests only once it has ended.'
    assert "cannot be cancelled" in text
    assert "Do not start it again." in text
    assert world.written == ["start_upgrade"]


@pytest.mark.parametrize(
    ("fields", "title"),
    [
        ({"mode": "ga", "version": "7.6.5"}, "to the newest GA build of 7.6.5"),
        ({"mode": "command", "command": COMMAND}, "by a restore command"),
        ({"mode": "build", "build_number": "0815"}, "to build 0815"),
    ],
)
async def test_every_mode_is_started_and_named(world: World, fields: dict[str, Any], title: str) -> None:
    text = await world.call("start_upgrade", testbed=LAB, **fields)
    assert f"upgrade of {LAB} {title} is under way" in text
    assert world.written == ["start_upgrade"]


async def test_the_password_of_a_command_is_neither_shown_nor_kept(world: World) -> None:
    text = await world.call("start_upgrade", testbed=LAB, mode="command", command=COMMAND)
    watch = await world.services.watches.registry.get(watch_id(text), ALICE)
    assert "s3cret-word" not in text
    assert "s3cret-word" not in repr(watch)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"mode": "build"}, ['mode "build" needs build_number, which is missing.', "Pass build_number too."]),
        ({"mode": "ga"}, ['mode "ga" needs version']),
        ({"mode": "command"}, ['mode "command" needs command']),
        (
            {"mode": "build", "build_number": 815},
            ["build_number is 815: as a number it may have lost a leading zero", '"815" or "0815"'],
        ),
        ({"mode": "build", "build_number": True}, ["build_number is true, but must be a string in quotes"]),
        ({"mode": "build", "build_number": "latest"}, ["build_number", "1 to 10 digits", '"6957"']),
        (
            {"mode": "build", "build_number": "6957", "version": "7.6.5"},
            ["only takes build_number", "Omit version"],
        ),
        ({"mode": "bild", "build_number": "6957"}, ['mode is "bild", but must be ', "'build', 'ga' or 'command'"]),
        ({"mode": "command", "command": "reboot"}, ["execute restore image scp"]),
        ({"mode": "command", "command": COMMAND + "; reboot"}, ["command"]),
        ({}, ["mode is missing"]),
        ({"mode": "build", "build": "6957"}, ["there is no argument build (did you mean build_number?)"]),
    ],
)
async def test_a_wrong_upgrade_is_refused_before_anything_is_asked(
    world: World, fields: dict[str, Any], words: list[str]
) -> None:
    text = await world.refused("start_upgrade", testbed=LAB, **fields)
    for expected in words:
        assert expected in text
    assert world.asked == []


async def test_an_unknown_testbed_is_refused_with_the_nearest_name(world: World) -> None:
    text = await world.refused("start_upgrade", testbed="AT16_Combined", mode="build", build_number="6957")
    assert text.startswith("testbed is 'AT16_Combined', which is not a lab you may use.")
    assert f"Did you mean {LAB}" in text
    assert world.asked == ["list_labs"]


async def test_an_upgrade_under_way_is_refused_in_tps_words_with_what_it_shows(world: World) -> None:
    await world.call("start_upgrade", **BAD_BUILD)
    await world.advance(60)
    text = await world.refused("start_upgrade", **{**BAD_BUILD, "build_number": "6955"})
    assert "an upgrade is already in progress on 10.15.52.152" in text
    assert "10.15.52.152 PROGRESS (last sign of life" in text
    assert "cannot be cancelled" in text
    assert "1 watch in this conversation; 1 going on." in await world.call("list_watches", state="active")


async def test_an_upgrade_that_was_never_answered_is_watched_and_not_sent_again(world: World) -> None:
    world.fault("start_upgrade", "drop", when="after")
    text = await world.call("start_upgrade", **BAD_BUILD)
    assert text.startswith(
        f"[{watch_id(text)}] It is not known yet whether the upgrade of {LAB} to build 6957 started."
    )
    assert "Do not start it again." in text.splitlines()[-1]
    await world.advance(45)
    text = await world.call("wait_for_watch", watch_id=watch_id(text), max_wait_seconds=0)
    assert "is under way" in text
    assert world.written == ["start_upgrade"]


async def test_a_lab_that_cannot_be_checked_is_left_to_tp_and_said(world: World) -> None:
    world.fault("list_labs", status=404)
    text = await world.call("start_upgrade", **BAD_BUILD)
    assert "TP could not tell which labs there are, so the lab's name was not checked." in text


async def test_just_after_a_start_the_old_end_is_not_told_as_the_new_one(world: World) -> None:
    started = await world.call("start_upgrade", **BAD_BUILD)
    text = await world.call("get_upgrade", testbed=LAB)
    first, *_, last = text.splitlines()
    assert first.startswith("Not picked up yet; TP may still show the upgrade before it:")
    assert f"Watched as {watch_id(started)}: upgrade of {LAB} to build 6957." in text
    assert last == f'Do not start it again. wait_for_watch(watch_id="{watch_id(started)}") waits for its end.'


async def test_an_upgrade_is_shown_per_device_with_its_log_and_reported_at_its_end(world: World) -> None:
    started = await world.call("start_upgrade", testbed="AT21_HA_Pair", mode="build", build_number="6957")
    await world.advance(60)
    text = await world.call("get_upgrade", testbed="AT21_HA_Pair")
    assert text.startswith("The latest upgrade of AT21_HA_Pair is under way (PROGRESS).")
    assert "10.15.61.11: PROGRESS, by build, build 6957, last sign of life 20" in text
    assert "Get image from scp server" in text
    assert text.count("Get image from scp server") <= 9, "more than the last lines of devices that are well"
    assert "10.15.61.20" not in text
    await world.advance(400)
    text = await world.call("wait_for_watch", watch_id=watch_id(started))
    assert text.startswith(f"[{watch_id(started)}] upgrade of AT21_HA_Pair to build 6957 is done, after ")
    assert text.endswith('Tests can run on it now: run_pytest(lab="AT21_HA_Pair", testcase=["..."]).')


async def test_an_upgrade_that_failed_is_told_as_failed(world: World) -> None:
    started = await world.call("start_upgrade", testbed=LAB, mode="build", build_number="1234567")
    await world.advance(120)
    text = await world.call("wait_for_watch", watch_id=watch_id(started))
    assert f"upgrade of {LAB} to build 1234567 failed" in text
    assert text.endswith(f'get_upgrade(testbed="{LAB}") shows each device and the end of its log.')
    text = await world.call("get_upgrade", testbed=LAB)
    assert text.startswith(f"The latest upgrade of {LAB} ended in FAILURE on at least one device.")
    assert "build 1234567 not found on the build server" in text


async def test_a_testbed_that_was_never_upgraded_is_told_so(world: World) -> None:
    text = await world.call("get_upgrade", testbed="AT33_New_NAC")
    assert text.startswith("The latest upgrade of AT33_New_NAC is UNKNOWN: none was ever started.")


async def test_somebody_elses_upgrade_can_be_watched_from_what_get_upgrade_says(world: World) -> None:
    world.simulator.state.start_upgrade("rival", {**BAD_BUILD})
    await world.advance(60)
    text = await world.call("get_upgrade", testbed=LAB)
    assert text.endswith(f'start_watch(tool="get_upgrade", args={{"testbed": "{LAB}"}}) watches it to its end.')


async def test_a_status_that_is_not_known_is_shown_as_it_is(world: World) -> None:
    world.answers("get_upgrade", {"status": "PAUSED", "per_device": [{"ip": "10.0.0.1", "status": "HELD"}]})
    text = await world.call("get_upgrade", testbed=LAB)
    assert text == f'The latest upgrade of {LAB} has status "PAUSED".\n\n10.0.0.1: "HELD": none'


async def test_a_connector_without_the_tool_says_what_to_do(world: World) -> None:
    world.forget_manifest_tool("start_upgrade")
    text = await world.refused("start_upgrade", **BAD_BUILD)
    assert "has no tool 'start_upgrade'" in text
    assert world.asked == []


async def test_a_cut_log_that_begins_inside_the_command_does_not_show_its_password(world: World) -> None:
    log = "10.1.1.1 builder s3cret-word\nGet image\n" + "Please wait a while\n" * 100 + "disk is full"
    device: JsonValue = {"ip": "10.0.0.1", "status": "FAILURE", "last_task_type": "command", "log_tail": log}
    world.answers("get_upgrade", {"status": "FAILURE", "per_device": [device]})
    text = await world.call("get_upgrade", testbed=LAB)
    assert "s3cret-word" not in text
    assert "[the first, partial lines are left out]" in text
    assert "disk is full" in text


async def test_the_client_knows_what_it_must_never_show(world: World) -> None:
    await world.call("start_upgrade", testbed=LAB, mode="command", command=COMMAND)
    known = [secret.get_secret_value() for secret in world.services.tp.client.secrets]
    assert known[0] == world.simulator.state.users["demo"].password
    assert any(secret.startswith("eyJ") for secret in known), "the token is not among them"
    assert "s3cret-word" in known
