from dataclasses import replace
from typing import Any

import pytest
from pydantic import JsonValue

from tp_mcp.api.models import UpgradeStatus
from tp_mcp.history.build_under_test import shown_upgrade, watched_upgrade
from tp_mcp.history.records import Upgrade
from tp_mcp.watch.model.spec import WatchSpec
from tp_mcp.watch.model.watch import Origin, Owner, Watch, WatchState

TP, LAB = "http://tp.example:8000", "AT16"
AT = "2026-05-28T18:14:19+00:00"
SECONDS = 1_779_992_059.0


def status(*devices: dict[str, Any]) -> dict[str, Any]:
    return {"status": "SUCCESS", "per_device": [{"ip": "10.1.1.1", "updated_at": AT, **each} for each in devices]}


def watch(last_answer: JsonValue, **changes: Any) -> Watch:
    done = Watch(
        id="w_1",
        owner=Owner("alice", "one", exact=True),
        server=TP,
        origin=Origin("start_upgrade", {"mode": "build", "build_number": "6957"}),
        title="upgrade",
        job=f"upgrade:{LAB}",
        kind="upgrade",
        testbed=LAB,
        spec=WatchSpec("get_upgrade", {"testbed": LAB}, "upgrade", 15, 900),
        state=WatchState.DONE,
        created_at=1.0,
        started_at=2.0,
        last_answer=last_answer,
    )
    return replace(done, **changes)


@pytest.mark.parametrize(
    ("devices", "build"),
    [
        ([{"status": "SUCCESS", "last_build_number": "6957"}], "6957"),
        ([{"status": "SUCCESS", "last_build_number": None}], ""),
        ([{"status": "SUCCESS", "last_build_number": build} for build in ("6957", "6955")], ""),
        ([{"status": "FAILURE", "last_build_number": "6957"}], ""),
        ([{"status": "PROGRESS", "last_build_number": "6957"}], None),
        ([{"status": "SUCCESS", "updated_at": None}], None),
        ([], None),
    ],
)
def test_a_status_shows_the_build_of_the_latest_upgrade(devices: list[dict[str, Any]], build: str | None) -> None:
    shown = shown_upgrade(TP, LAB, UpgradeStatus.model_validate(status(*devices)))
    assert shown == (None if build is None else Upgrade(TP, LAB, SECONDS, build))


SILENT = status({"status": "SUCCESS", "last_build_number": None})


@pytest.mark.parametrize(
    ("last_answer", "changes", "build"),
    [
        (status({"status": "SUCCESS", "last_build_number": "6957"}), {}, "6957"),
        (SILENT, {}, "6957"),
        (SILENT, {"answer": {"build_number": "6958"}}, "6958"),
        (SILENT, {"origin": Origin("start_upgrade", {"command": "execute restore image scp a/build6959.out h u p"})},
         "6959"),
        (SILENT, {"origin": Origin("start_upgrade", {"command": "execute restore image scp image.out h u p"})}, ""),
        (SILENT, {"origin": Origin("start_watch", {})}, ""),
        (status(), {}, None),
        (SILENT, {"state": WatchState.FAILED}, None),
        (SILENT, {"settled": True}, None),
        (SILENT, {"spec": WatchSpec("get_execution", {}, "execution", 15, 900)}, None),
    ],
)  # fmt: skip
def test_a_watch_of_an_upgrade_tells_its_build(last_answer: JsonValue, changes: Any, build: str | None) -> None:
    told = watched_upgrade(watch(last_answer, **changes))
    assert told == (None if build is None else Upgrade(TP, LAB, SECONDS, build))
