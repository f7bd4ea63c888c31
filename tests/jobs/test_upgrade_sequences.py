"""How an upgrade stands: recorded sequences of GETs, each with its expected state after every step."""

from collections.abc import Callable

import pytest
from pydantic import JsonValue

from tp_mcp.jobs.upgrade.upgrade_rule import UpgradeRule
from tp_mcp.watch.model.reading import Verdict
from tp_mcp.watch.model.watch import Watch

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
