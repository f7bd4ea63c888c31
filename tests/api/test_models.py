"""TP's answers become models whatever is missing, null or oddly typed."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from tp_mcp.api.lenient import each_valid, rows_of
from tp_mcp.api.models import Execution, ExecutionStarted, ExecutionSummary, Lab, UpgradeStarted, UpgradeStatus

EXECUTION: dict[str, Any] = {
    "exec_id": 446,
    "status": "Done",
    "lab": "AT16_Combined_FSW",
    "controller": "10.15.52.159",
    "remote_pid": "177854",
    "pass_count": 1,
    "fail_count": 0,
    "skip_count": 0,
    "error_count": 0,
    "total_count": 1,
    "start_timestamp": "1780090011",
    "end_timestamp": "1780090041",
    "report_file_path": "data/AutomationTest/test_446_report_2026-05-29_21:26:50.html",
    "log_file_path": "/tmp/pytest_446.log",
    "log_size": 25338,
    "log_tail": "tail",
}


def test_an_execution_has_counts_and_aware_times() -> None:
    execution = Execution.model_validate(EXECUTION)
    assert (execution.exec_id, execution.status, execution.pass_count, execution.log_size) == (446, "Done", 1, 25338)
    assert execution.start_timestamp == datetime.fromtimestamp(1780090011, UTC)
    assert execution.end_timestamp is not None
    assert execution.end_timestamp - datetime(2026, 1, 1, tzinfo=UTC) > timedelta(days=30)


def test_an_execution_tolerates_missing_null_and_extra_fields() -> None:
    execution = Execution.model_validate(
        {"exec_id": "446", "status": None, "pass_count": None, "fail_count": "2", "new": {}, "log_tail": 7}
    )
    assert execution == Execution.model_validate({"exec_id": 446, "fail_count": 2, "log_tail": "7"})
    assert (execution.status, execution.pass_count, execution.total_count, execution.start_timestamp) == (
        "",
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (3, 3),
        ("3", 3),
        (" 3 ", 3),
        ("-1", -1),
        (3.0, 3),
        (3.5, None),
        ("", None),
        ("x", None),
        (True, None),
        ([], None),
        ("9" * 5_000, None),
        (2**53, 2**53),
        (2**53 + 1, None),
        (-(10**400), None),
        (1e300, None),
    ],
)
def test_a_count_is_a_whole_number_or_not_known(given: object, taken: int | None) -> None:
    assert Execution.model_validate({"pass_count": given}).pass_count == taken


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("2026-05-28T18:14:19+00:00", datetime(2026, 5, 28, 18, 14, 19, tzinfo=UTC)),
        ("2026-05-28T18:14:19Z", datetime(2026, 5, 28, 18, 14, 19, tzinfo=UTC)),
        ("2026-05-28 18:14:19", datetime(2026, 5, 28, 18, 14, 19, tzinfo=UTC)),
        ("2026-05-28T20:14:19+02:00", datetime(2026, 5, 28, 18, 14, 19, tzinfo=UTC)),
        (1780090011, datetime.fromtimestamp(1780090011, UTC)),
        ("1780090011.5", datetime.fromtimestamp(1780090011.5, UTC)),
        ("", None),
        (None, None),
        ("yesterday", None),
        ("inf", None),
        ("nan", None),
        ("1e300", None),
        ({}, None),
        (True, None),
    ],
)
def test_a_time_is_an_aware_datetime_or_not_known(given: object, taken: datetime | None) -> None:
    moment = Execution.model_validate({"start_timestamp": given}).start_timestamp
    assert moment == taken
    assert moment is None or moment.tzinfo is not None


def test_a_model_takes_its_own_values_back() -> None:
    execution = Execution.model_validate(EXECUTION)
    assert Execution.model_validate(execution.model_dump()) == execution
    lab = Lab.model_validate({"name": "A", "deployinfo": {"dev1": "nac", "ip1": "10.0.0.1"}})
    assert Lab.model_validate({"name": "A", "devices": lab.devices}) == lab


def test_answers_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Execution.model_validate(EXECUTION).status = "Failed"  # type: ignore[misc]  # that it cannot be set is the point


def test_a_started_execution_must_have_its_id() -> None:
    assert ExecutionStarted.model_validate({"exec_id": 7, "status": "Initiating", "testcase_count": 1}).exec_id == 7
    for broken in ({}, {"exec_id": None}, {"exec_id": 0}):
        with pytest.raises(ValidationError):
            ExecutionStarted.model_validate(broken)


def test_an_upgrade_keeps_its_good_tasks_and_devices() -> None:
    started = UpgradeStarted.model_validate(
        {"testbed": "A", "tasks": [{"ip": "10.0.0.1", "celery_id": "x"}, "broken"], "target_ips": ["10.0.0.1", None]}
    )
    assert [(task.ip, task.celery_id) for task in started.tasks] == [("10.0.0.1", "x")]
    assert started.target_ips == ("10.0.0.1",)
    status = UpgradeStatus.model_validate(
        {
            "testbed": "A",
            "status": "PROGRESS",
            "per_device": [
                {"ip": "10.0.0.1", "last_build_number": None, "updated_at": "2026-05-28T18:14:19+00:00"},
                7,
                None,
            ],
        }
    )
    (device,) = status.per_device
    assert device.last_build_number == ""
    assert device.updated_at == datetime(2026, 5, 28, 18, 14, 19, tzinfo=UTC)
    assert UpgradeStatus.model_validate({"per_device": None}).per_device == ()


@pytest.mark.parametrize("as_text", [False, True])
def test_a_lab_has_its_devices_in_order_from_an_object_or_its_json(as_text: bool) -> None:
    deployed = {"dev10": "j", "ip10": "10.0.0.10", "dev2": "b", "dev1": "a", "ip1": "10.0.0.1", "other": 1}
    lab = Lab.model_validate({"name": "A", "deployinfo": json.dumps(deployed) if as_text else deployed})
    assert [(device.name, device.ip) for device in lab.devices] == [("a", "10.0.0.1"), ("b", ""), ("j", "10.0.0.10")]


@pytest.mark.parametrize("deployed", [None, "", "not json", "[1]", 7, [], "[" * 100_000])
def test_a_lab_without_readable_devices_has_none(deployed: object) -> None:
    assert Lab.model_validate({"name": "A", "deployinfo": deployed}).devices == ()


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (["a", "b"], ("a", "b")),
        ("a, b,", ("a", "b")),
        ([{"username": "a"}, {"name": "b"}, {}], ("a", "b")),
        (None, ()),
        ({}, ()),
        ([1, None], ("1",)),
    ],
)
def test_people_come_as_list_text_or_objects(given: object, taken: tuple[str, ...]) -> None:
    assert Lab.model_validate({"name": "A", "users": given}).users == taken


def test_one_bad_row_never_loses_the_others() -> None:
    labs = each_valid(Lab, [{"name": "A"}, {"name": ""}, {}, None, 7, {"name": "B", "status": "Running"}])
    assert [lab.name for lab in labs] == ["A", "B"]
    assert each_valid(Lab, "no list") == ()


@pytest.mark.parametrize(
    ("answer", "rows"),
    [
        ([1], [1]),
        ({"data": [1]}, [1]),
        ({"labs": [1], "other": [2]}, [1]),
        ({"count": 1, "anything": [1]}, [1]),
        ({"x": [1], "y": [2]}, None),
        ({}, None),
        ("text", None),
        (None, None),
    ],
)
def test_a_list_may_be_wrapped(answer: Any, rows: list[Any] | None) -> None:
    assert rows_of(answer) == rows


@pytest.mark.parametrize("key", ["exec_id", "id", "execution_id"])
def test_a_summary_understands_several_names(key: str) -> None:
    summary = ExecutionSummary.model_validate({key: 446, "name": "AT16", "status": "Running", "progress": 40})
    assert (summary.exec_id, summary.lab, summary.progress, summary.in_flight) == (446, "AT16", "40", True)
    assert not ExecutionSummary.model_validate({"id": 1, "status": "Done"}).in_flight
