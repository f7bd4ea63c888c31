"""How an upgrade stands: recorded sequences of GETs, each with its expected state after every step."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import JsonValue

from tp_mcp.api.models import UpgradeStatus
from tp_mcp.errors import TpNotJsonError
from tp_mcp.jobs.upgrade import POLL_TOOL, REMEMBERED_MAX_DEVICES, UpgradeRule, upgrade_baseline, upgrade_job
from tp_mcp.watch import words
from tp_mcp.watch.readings import Verdict
from tp_mcp.watch.states import Advisory, Watch, WatchState

Json = dict[str, JsonValue]
A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"
ASKED: Json = {"testbed": "AT16", "mode": "build", "build_number": "6957"}
COMMAND: Json = {"testbed": "AT16", "mode": "command", "command": "execute restore image scp a b c ***"}
GA: Json = {"testbed": "AT16", "mode": "ga", "version": "7.6.5"}


def dev(ip: str, status: str, at: str | None, by: str = "build", build: str | None = "6957") -> Json:
    updated = None if at is None else f"2026-05-28T{at}+00:00"
    return {"ip": ip, "status": status, "last_task_type": by, "last_build_number": build, "updated_at": updated}


def get(aggregate: str, *devices: Json) -> Json:
    return {"testbed": "AT16", "status": aggregate, "target_ips": [A], "per_device": list(devices)}


OLD = dev(A, "SUCCESS", "10:00:00", build="6900")
OLD_BROKEN = dev(A, "FAILURE", "10:00:00", build="6900")
SAME_BUILD = dev(A, "SUCCESS", "10:00:00")
UNDER_WAY = dev(A, "PROGRESS", "11:00:05")
GOOD = dev(A, "SUCCESS", "11:05:00")
BAD = dev(A, "FAILURE", "11:05:00")
LATE = dev(A, "TIMEOUT", "11:45:00")
OLD_B = dev(B, "SUCCESS", "09:00:00", build="6900")
GOOD_B = dev(B, "SUCCESS", "11:07:00")
NEVER = dev(A, "UNKNOWN", None, by="", build=None)

# Each: what stood before, what was asked for, TP's answer to the start, and then each GET with the verdict expected.
SEQUENCES: dict[str, tuple[Json | None, Json, Json | None, list[tuple[Json, str]]]] = {
    "a stale SUCCESS is not taken for this upgrade's": (
        get("SUCCESS", OLD),
        ASKED,
        None,
        [
            (get("SUCCESS", OLD), "stale"),
            (get("SUCCESS", OLD), "stale"),
            (get("PROGRESS", UNDER_WAY), "underway"),
            (get("SUCCESS", GOOD), "done"),
        ],
    ),
    "a stale SUCCESS of the very same build is not either": (
        get("SUCCESS", SAME_BUILD),
        ASKED,
        None,
        [
            (get("SUCCESS", SAME_BUILD), "stale"),
            (get("PROGRESS", UNDER_WAY), "underway"),
            (get("SUCCESS", GOOD), "done"),
        ],
    ),
    "a stale FAILURE is not taken for this upgrade's": (
        get("FAILURE", OLD_BROKEN),
        ASKED,
        None,
        [
            (get("FAILURE", OLD_BROKEN), "stale"),
            (get("PROGRESS", UNDER_WAY), "underway"),
            (get("SUCCESS", GOOD), "done"),
        ],
    ),
    "the first upgrade ever": (
        get("UNKNOWN", NEVER),
        ASKED,
        None,
        [(get("UNKNOWN", NEVER), "stale"), (get("PROGRESS", UNDER_WAY), "underway"), (get("FAILURE", BAD), "failed")],
    ),
    "the first upgrade ever, of a testbed that shows no devices before": (
        get("UNKNOWN"),
        ASKED,
        None,
        [
            (get("UNKNOWN"), "stale"),
            (get("PROGRESS"), "underway"),
            (get("PROGRESS", UNDER_WAY), "underway"),
            (get("SUCCESS", GOOD), "done"),
        ],
    ),
    "PROGRESS was never seen, but it moved to what was asked for": (
        get("SUCCESS", OLD),
        ASKED,
        None,
        [(get("SUCCESS", OLD), "stale"), (get("SUCCESS", GOOD), "done")],
    ),
    "PROGRESS was never seen, and it failed": (
        get("SUCCESS", OLD),
        ASKED,
        None,
        [(get("SUCCESS", OLD), "stale"), (get("FAILURE", BAD), "failed")],
    ),
    "it moved to another build": (
        get("SUCCESS", OLD),
        ASKED,
        None,
        [(get("SUCCESS", dev(A, "SUCCESS", "11:05:00", build="7000")), "probably done")],
    ),
    "it moved by another kind of upgrade": (
        get("SUCCESS", OLD),
        ASKED,
        None,
        [(get("FAILURE", dev(A, "FAILURE", "11:05:00", by="ga")), "probably failed")],
    ),
    "another user's later upgrade hides the end of this one": (
        get("SUCCESS", OLD),
        ASKED,
        None,
        [
            (get("PROGRESS", UNDER_WAY), "underway"),
            (get("PROGRESS", dev(A, "PROGRESS", "11:20:00", build="7000")), "underway"),
            (get("SUCCESS", dev(A, "SUCCESS", "11:30:00", build="7000")), "probably done"),
        ],
    ),
    "it moved, and TP does not show to what": (
        get("SUCCESS", OLD),
        ASKED,
        None,
        [(get("SUCCESS", dev(A, "SUCCESS", "11:05:00", by="", build=None)), "probably done")],
    ),
    "it moved, and TP does not show to which build": (
        get("SUCCESS", OLD),
        ASKED,
        None,
        [(get("SUCCESS", dev(A, "SUCCESS", "11:05:00", build=None)), "probably done")],
    ),
    "it was seen under way, so what TP does not show is not missed": (
        get("SUCCESS", OLD),
        ASKED,
        None,
        [
            (get("PROGRESS", dev(A, "PROGRESS", "11:00:05", by="", build=None)), "underway"),
            (get("SUCCESS", dev(A, "SUCCESS", "11:05:00", by="", build=None)), "done"),
        ],
    ),
    "somebody else's upgrade ended between the look and the start": (
        get("PROGRESS", dev(A, "PROGRESS", "10:59:00", build="7000")),
        ASKED,
        None,
        [
            (get("SUCCESS", dev(A, "SUCCESS", "10:59:50", build="7000")), "stale"),
            (get("PROGRESS", UNDER_WAY), "underway"),
            (get("SUCCESS", GOOD), "done"),
        ],
    ),
    "several devices, picked up one after the other": (
        get("SUCCESS", OLD, OLD_B),
        ASKED,
        {"target_ips": [A, B]},
        [
            (get("SUCCESS", OLD, OLD_B), "stale"),
            (get("PROGRESS", UNDER_WAY, OLD_B), "underway"),
            (get("SUCCESS", GOOD, OLD_B), "underway"),
            (get("PROGRESS", GOOD, dev(B, "PROGRESS", "11:06:00")), "underway"),
            (get("SUCCESS", GOOD, GOOD_B), "done"),
        ],
    ),
    "one of several fails, the other is still to be picked up": (
        get("SUCCESS", OLD, OLD_B),
        ASKED,
        {"target_ips": [A, B]},
        [
            (get("PROGRESS", UNDER_WAY, OLD_B), "underway"),
            (get("FAILURE", BAD, OLD_B), "underway"),
            (get("FAILURE", BAD, GOOD_B), "failed"),
        ],
    ),
    "a device that TP does not list yet is waited for": (
        get("SUCCESS", OLD),
        ASKED,
        {"target_ips": [A, B]},
        [(get("SUCCESS", GOOD), "underway"), (get("SUCCESS", GOOD, GOOD_B), "done")],
    ),
    "one device runs into TP's time-out": (
        get("SUCCESS", OLD, OLD_B),
        ASKED,
        {"target_ips": [A, B]},
        [(get("PROGRESS", UNDER_WAY, GOOD_B), "underway"), (get("FAILURE", LATE, GOOD_B), "failed")],
    ),
    "command mode has no build": (
        get("SUCCESS", dev(A, "SUCCESS", "10:00:00", by="command", build=None)),
        COMMAND,
        {"mode": "command", "build_number": "", "target_ips": [A]},
        [
            (get("SUCCESS", dev(A, "SUCCESS", "10:00:00", by="command", build=None)), "stale"),
            (get("SUCCESS", dev(A, "SUCCESS", "11:05:00", by="command", build=None)), "done"),
        ],
    ),
    "ga mode has the build that TP chose": (
        get("SUCCESS", OLD),
        GA,
        {"mode": "ga", "build_number": "3652", "target_ips": [A]},
        [(get("SUCCESS", dev(A, "SUCCESS", "11:05:00", by="ga", build="3652")), "done")],
    ),
    "ga mode, and another build than TP chose": (
        get("SUCCESS", OLD),
        GA,
        {"mode": "ga", "build_number": "3652", "target_ips": [A]},
        [(get("SUCCESS", dev(A, "SUCCESS", "11:05:00", by="ga", build="3600")), "probably done")],
    ),
    "the failure of a device outside target_ips is not this upgrade's": (
        get("FAILURE", OLD, dev(C, "FAILURE", "08:00:00", build="1")),
        ASKED,
        {"target_ips": [A]},
        [
            (get("FAILURE", OLD, dev(C, "FAILURE", "08:00:00", build="1")), "stale"),
            (get("FAILURE", GOOD, dev(C, "FAILURE", "08:00:00", build="1")), "done"),
        ],
    ),
    "a device outside target_ips that is under way is not this upgrade's": (
        get("SUCCESS", OLD, dev(C, "SUCCESS", "08:00:00")),
        ASKED,
        {"target_ips": [A]},
        [
            (get("PROGRESS", OLD, dev(C, "PROGRESS", "11:00:00")), "stale"),
            (get("PROGRESS", BAD, dev(C, "PROGRESS", "11:05:00")), "failed"),
        ],
    ),
    "an aggregate that is not of one mind with its devices is read again": (
        get("SUCCESS", OLD),
        ASKED,
        {"target_ips": [A]},
        [(get("PROGRESS", GOOD), "underway"), (get("SUCCESS", GOOD), "done")],
    ),
    "a word that TP does not promise is no end": (
        get("SUCCESS", OLD),
        ASKED,
        None,
        [
            (get("QUEUED", dev(A, "QUEUED", "11:00:00")), "underway"),
            (get("SUCCESS", GOOD), "done"),
        ],
    ),
    "somebody else's upgrade is watched as it stands": (
        None,
        {"tool": "get_upgrade", "args": {"testbed": "AT16"}},
        None,
        [(get("PROGRESS", UNDER_WAY), "underway"), (get("SUCCESS", dev(A, "SUCCESS", "11:05:00", by="ga")), "done")],
    ),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_recorded_sequence(
    name: str, upgrade_watch: Callable[..., Watch], follow: Callable[..., list[Watch]]
) -> None:
    before, arguments, answer, steps = SEQUENCES[name]
    watch = upgrade_watch(before, arguments=arguments, answer=answer)
    seen = []
    for walked in follow(watch, UpgradeRule(), [answer for answer, _ in steps]):
        assert walked.reading is not None
        seen.append(("probably " if walked.reading.probable else "") + walked.reading.verdict)
        assert walked.state.ended is (walked.reading.verdict in {Verdict.DONE, Verdict.FAILED})
    assert seen == [expected for _, expected in steps]


def test_an_end_in_doubt_says_what_tp_shows(
    upgrade_watch: Callable[..., Watch], follow: Callable[..., list[Watch]]
) -> None:
    shown = dev(A, "SUCCESS", "11:05:00", build="70\x1b[31m00")
    watch = follow(upgrade_watch(get("SUCCESS", OLD)), UpgradeRule(), [get("SUCCESS", shown)])[-1]
    message = words.end_message(watch)
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
    assert "Nothing has picked it up for 45 min." in ended.reason
    assert "TP still showed the job before it" in words.end_message(ended)


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
    assert [each.advisory for each in walked] == [None, Advisory.UNREACHABLE, None]
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
    settlement = rule.settle(watch, now)
    assert settlement.started is started
    assert settlement.spec_args == ({"testbed": "AT16"} if started else None)
    assert f"status is {now['status']}" in settlement.evidence


def test_an_answer_that_is_no_status_settles_nothing(upgrade_watch: Callable[..., Watch]) -> None:
    with pytest.raises(TpNotJsonError):
        UpgradeRule().settle(upgrade_watch(None), {"error": "no such testbed"})


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
