from typing import Any

import pytest

LAB = "AT16_Combined_FSW"


async def lock(tp: Any, action: object = "lock", *, user: str = "demo", name: object = LAB) -> Any:
    return await tp.post("/adc/automation_lock", {"action": action, "user": user, "name": name})


async def status_of(tp: Any) -> Any:
    labs = (await tp.post("/adc/get_automation_lab", {"user": "demo"})).json()
    return next(lab["status"] for lab in labs if lab["name"] == LAB)


async def test_a_marked_lab_is_not_available_until_it_is_freed(still: Any) -> None:
    answer = await lock(still)
    assert (answer.status_code, answer.json()) == (200, {"name": LAB, "locked": True, "user": "demo"})
    assert await status_of(still) == "Running"
    assert (await lock(still, "unlock")).json() == {"name": LAB, "locked": False, "user": "demo"}
    assert await status_of(still) == "Available"


async def test_what_stands_already_is_no_error(still: Any) -> None:
    assert [(await lock(still, action)).status_code for action in ("unlock", "lock", "lock", "unlock")] == [200] * 4


async def test_a_mark_of_somebody_else_is_neither_taken_over_nor_taken_away(still: Any) -> None:
    await lock(still)
    still.login("rival")
    for action in ("lock", "unlock"):
        answer = await lock(still, action, user="rival")
        assert (answer.status_code, answer.json()) == (409, {"error": f"'{LAB}' is locked by 'demo'"})
    assert still.simulator.state.locks.holder(LAB) == "demo"


async def test_a_mark_keeps_nobody_from_running(still: Any) -> None:
    await lock(still)
    still.login("rival")
    assert (await still.run("Tests_CLI/test_system.py", user="rival")).status_code == 202


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"action": "take"}, 400),
        ({"action": None}, 400),
        ({"user": "rival"}, 403),
        ({"user": ""}, 400),
        ({"name": "AT40_Rival_NAC"}, 403),
        ({"name": "AT99"}, 404),
        ({"name": 7}, 400),
    ],
)
async def test_what_cannot_be_marked_is_refused(still: Any, fields: dict[str, Any], status: int) -> None:
    assert (await lock(still, **fields)).status_code == status
    refused = (await still.get("/_sim/record")).json()["refused"]
    assert [(row["endpoint"], row["status"]) for row in refused] == [("lock_lab", status)]


async def test_every_mark_is_a_row_of_the_record_that_makes_no_job(still: Any) -> None:
    await lock(still)
    await lock(still, "unlock")
    rows = (await still.get("/_sim/record")).json()["accepted"]
    assert [(row["endpoint"], row["lab"], row["asked"], row["end"]) for row in rows] == [
        ("lock_lab", LAB, {"action": "lock"}, None),
        ("lock_lab", LAB, {"action": "unlock"}, None),
    ]
