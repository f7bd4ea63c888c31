"""How an upgrade stands: doubts, advisories, answers that cannot be read, and starts without an answer."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import JsonValue

from tp_mcp.api.models import UpgradeStatus
from tp_mcp.errors import TpNotJsonError
from tp_mcp.jobs.upgrade.upgrade_rule import (
    POLL_TOOL,
    REMEMBERED_MAX_DEVICES,
    UpgradeRule,
    upgrade_baseline,
    upgrade_job,
)
from tp_mcp.watch.delivery import messages
from tp_mcp.watch.delivery.messages import reason_text
from tp_mcp.watch.model.reading import Verdict
from tp_mcp.watch.model.watch import Advisory, Watch, WatchState

Json = dict[str, JsonValue]
A, B = "10.0.0.1", "10.0.0.2"


def dev(ip: str, status: str, at: str | None, by: str = "build", build: str | None = "6957") -> Json:
    updated = None if at is None else f"2026-05-28T{at}+00:00"
    return {"ip": ip, "status": status, "last_task_type": by, "last_build_number": build, "updated_at": updated}


def get(aggregate: str, *devices: Json) -> Json:
    return {"testbed": "AT16", "status": aggregate, "target_ips": [A], "per_device": list(devices)}


OLD = dev(A, "SUCCESS", "10:00:00", build="6900")
UNDER_WAY = dev(A, "PROGRESS", "11:00:05")
GOOD = dev(A, "SUCCESS", "11:05:00")
OLD_B = dev(B, "SUCCESS", "09:00:00", build="6900")
GOOD_B = dev(B, "SUCCESS", "11:07:00")
NEVER = dev(A, "UNKNOWN", None, by="", build=None)


def test_an_end_in_doubt_says_what_tp_shows(
    upgrade_watch: Callable[..., Watch], follow: Callable[..., list[Watch]]
) -> None:
    shown = dev(A, "SUCCESS", "11:05:00", build="70\x1b[31m00")
    watch = follow(upgrade_watch(get("SUCCESS", OLD)), UpgradeRule(), [get("SUCCESS", shown)])[-1]
    message = messages.end_message(watch)
    assert "is probably done" in message
    assert "TP shows build 7000, not 6957: a later upgrade may hide this one." in message


def test_an_upgrade_that_nobody_picks_up_is_advised_of_and_ends_by_time(
    upgrade_watch: Callable[..., Watch], follow: Callable[..., list[Watch]]
) -> None:
    walked = follow(upgrade_watch(get("SUCCESS", OLD)), UpgradeRule(), [get("SUCCESS", OLD)] * 200)
    assert {each.advisory for each in walked[:19]} == {None}
    assert {each.advisory for each in walked[19:179]} == {Advisory.NOT_STARTED}
    assert {each.state for each in walked[:179]} == {WatchState.ACTIVE}
    ended = walked[179]
    assert (ended.state, walked[-1]) == (WatchState.TIMED_OUT, ended)
    assert "Nothing has picked it up for 45 min." in reason_text(ended)
    assert "TP still showed the job before it" in messages.end_message(ended)


def test_a_worker_that_died_is_advised_of(
    upgrade_watch: Callable[..., Watch], follow: Callable[..., list[Watch]]
) -> None:
    moving = [get("PROGRESS", dev(A, "PROGRESS", f"11:00:{second:02}")) for second in range(0, 45, 15)]
    walked = follow(upgrade_watch(get("SUCCESS", OLD)), UpgradeRule(), [*moving, *[moving[-1]] * 13])
    assert [each.advisory for each in walked][-2:] == [Advisory.STALLED] * 2
    assert walked[13].advisory is None


@pytest.mark.parametrize(
    "answer", [None, [], "SUCCESS", 7, {}, {"status": None}, {"status": {}}, {"error": "no such testbed"}]
)
def test_an_answer_that_is_no_status_is_said_and_changes_nothing(
    upgrade_watch: Callable[..., Watch], follow: Callable[..., list[Watch]], answer: JsonValue
) -> None:
    watch = upgrade_watch(get("SUCCESS", OLD))
    with pytest.raises(TpNotJsonError):
        UpgradeRule().interpret(watch, answer)
    walked = follow(watch, UpgradeRule(), [get("PROGRESS", UNDER_WAY), answer, get("SUCCESS", GOOD)])
    assert [each.advisory for each in walked] == [None, Advisory.NO_STATUS, None]
    assert walked[-1].state is WatchState.DONE


@pytest.mark.parametrize(
    "devices",
    [None, "none", [None, 3, "x"], [{"ip": None}], [{"ip": A, "status": 7, "updated_at": "yesterday"}]],
)
def test_devices_that_cannot_be_read_end_nothing(
    upgrade_watch: Callable[..., Watch], follow: Callable[..., list[Watch]], devices: JsonValue
) -> None:
    answer: Json = {"status": "SUCCESS", "per_device": devices, "target_ips": "?"}
    walked = follow(upgrade_watch(get("SUCCESS", OLD), answer={"target_ips": [A, 7]}), UpgradeRule(), [answer] * 3)
    assert [each.state for each in walked] == [WatchState.ACTIVE] * 3
    assert walked[-1].reading is not None
    assert walked[-1].reading.verdict is Verdict.STALE


def test_the_reading_shows_each_device_in_printable_words(upgrade_watch: Callable[..., Watch]) -> None:
    rule = UpgradeRule()
    two = rule.interpret(
        upgrade_watch(None), get("PROG\x1b[31mRESS", UNDER_WAY, dev("10.0.0.2\n", "SUC\x07CESS", None))
    )
    assert two.reading.phase == "PROGRESS"
    assert two.reading.detail == "10.0.0.1 PROGRESS, 10.0.0.2 SUCCESS"
    assert rule.interpret(upgrade_watch(None), get("UNKNOWN")).reading.detail == "TP shows no device"
    many = rule.interpret(
        upgrade_watch(None), get("PROGRESS", *[dev(f"host-{n}" * 9, "PROGRESS", None) for n in range(999)])
    )
    assert len(many.reading.detail) <= 400
    assert isinstance(many.memory, dict)
    assert len(many.memory["underway"]) == REMEMBERED_MAX_DEVICES  # type: ignore[arg-type] # a list of addresses


def test_a_sign_of_life_is_any_device_that_moved(upgrade_watch: Callable[..., Watch]) -> None:
    def sign(*devices: Json) -> str:
        return UpgradeRule().interpret(upgrade_watch(None), get("PROGRESS", *devices)).reading.sign_of_life

    assert sign(UNDER_WAY, OLD_B) == sign(UNDER_WAY, OLD_B)
    assert len({sign(UNDER_WAY, OLD_B), sign(GOOD, OLD_B), sign(UNDER_WAY, GOOD_B)}) == 3


def test_the_job_is_the_testbeds() -> None:
    assert upgrade_job("AT16") == "upgrade:AT16"


# Starts that were never answered --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "now", "started"),
    [
        (get("SUCCESS", OLD), get("SUCCESS", OLD), False),
        (get("SUCCESS", OLD), get("PROGRESS", OLD), True),
        (get("SUCCESS", OLD), get("SUCCESS", GOOD), True),
        (get("UNKNOWN"), get("UNKNOWN"), False),
        (get("UNKNOWN"), get("PROGRESS"), True),
        # Under way before the request, so it tells nothing; TP probably refused.
        (get("PROGRESS", UNDER_WAY), get("PROGRESS", dev(A, "PROGRESS", "11:00:08")), False),
    ],
)
def test_an_unanswered_start_is_settled_by_what_moved(
    upgrade_watch: Callable[..., Watch], before: Json, now: Json, started: bool
) -> None:
    watch = replace(upgrade_watch(before), state=WatchState.STARTING, answer=None)
    rule = UpgradeRule()
    assert rule.settling_read(watch) == (POLL_TOOL, {"testbed": "AT16"})
    settlement = rule.settle(watch, now, taken=())
    assert settlement.started is started
    assert settlement.spec_args == ({"testbed": "AT16"} if started else None)
    assert f"status is {now['status']}" in settlement.evidence


def test_what_moved_is_not_its_own_where_another_upgrade_was_started_since(upgrade_watch: Callable[..., Watch]) -> None:
    watch = replace(upgrade_watch(get("SUCCESS", OLD)), state=WatchState.STARTING, answer=None)
    settlement = UpgradeRule().settle(watch, get("PROGRESS", OLD), taken={watch.job})
    assert not settlement.started
    assert "another upgrade" in settlement.evidence


def test_an_answer_that_is_no_status_settles_nothing(upgrade_watch: Callable[..., Watch]) -> None:
    with pytest.raises(TpNotJsonError):
        UpgradeRule().settle(upgrade_watch(None), {"error": "no such testbed"}, taken=())


@pytest.mark.slow
def test_what_is_kept_of_addresses_is_small_whatever_tp_sends(
    upgrade_watch: Callable[..., Watch], follow: Callable[..., list[Watch]]
) -> None:
    answers = [get("PROGRESS", dev(f"{n}" + "x" * 90_000, "PROGRESS", "11:01:00")) for n in range(6)]
    many = get("PROGRESS", *[dev(f"{n}" * 1_000, "PROGRESS", "11:01:00") for n in range(999)])
    last = follow(upgrade_watch(many), UpgradeRule(), [*answers, many])[-1]
    for kept in (last.baseline, last.memory):
        assert len(json.dumps(kept)) < 200 * REMEMBERED_MAX_DEVICES
    assert isinstance(last.baseline, dict)
    assert [len(part) for part in last.baseline.values() if part] == [REMEMBERED_MAX_DEVICES] * 2  # type: ignore[arg-type] # both are collections


def test_a_long_address_is_known_again(upgrade_watch: Callable[..., Watch], follow: Callable[..., list[Watch]]) -> None:
    name = "device" * 50
    before, after = dev(name, "SUCCESS", "11:00:00"), dev(name, "SUCCESS", "11:05:00")
    watch = upgrade_watch(get("SUCCESS", before), answer={"target_ips": [name]})
    states = [each.state for each in follow(watch, UpgradeRule(), [get("SUCCESS", before), get("SUCCESS", after)])]
    assert states == [WatchState.ACTIVE, WatchState.DONE]


def test_a_baseline_is_plain_json() -> None:
    status = UpgradeStatus.model_validate(get("PROGRESS", UNDER_WAY, NEVER | {"ip": B}))
    assert upgrade_baseline(status) == {
        "updated_at": {A: "2026-05-28T11:00:05+00:00", B: None},
        "underway": [A],
    }


def test_arguments_of_an_odd_kind_raise_no_doubt_of_their_own(
    upgrade_watch: Callable[..., Watch], follow: Callable[..., list[Watch]]
) -> None:
    odd: dict[str, Any] = {"testbed": "AT16", "mode": "build", "build_number": 6957}
    watch = upgrade_watch(get("SUCCESS", OLD), arguments=odd, answer=["no object"])
    assert follow(watch, UpgradeRule(), [get("SUCCESS", GOOD)])[-1].state is WatchState.DONE


def test_a_device_that_failed_is_told_while_the_others_go_on(upgrade_watch: Callable[..., Watch]) -> None:
    watch = upgrade_watch(get("SUCCESS", OLD, OLD_B))
    under_way = dev(B, "PROGRESS", "11:00:05")
    both = get("PROGRESS", dev(A, "FAILURE", "11:05:00"), under_way) | {"target_ips": [A, B]}
    reading = UpgradeRule().interpret(replace(watch, answer={"target_ips": [A, B]}), both).reading
    assert (reading.verdict, reading.broken) == (Verdict.UNDERWAY, True)
    old = get("FAILURE", dev(A, "FAILURE", "10:00:00"), under_way)
    assert not UpgradeRule().interpret(upgrade_watch(old), old).reading.broken, "the end of the one before"
