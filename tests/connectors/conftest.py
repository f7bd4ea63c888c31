import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]

SMALL: dict[str, Any] = {
    "id": "lift",
    "name": "Lift",
    "version": "1.2.3",
    "category": "connector",
    "mode": "server-side",
    "settings": {"base_url": {"type": "string"}, "token": {"type": "secret"}},
    "tools": {
        "start_lift": {
            "description": "Starts it.",
            "protocol": "http",
            "destructive": True,
            "parameters": {"floor": {"type": "integer", "required": True}},
            "request": {"method": "POST", "url": "{settings.base_url}/lift", "body": {"floor": "{args.floor}"}},
            "async": {
                "poll": "get_lift",
                "poll_args": {"ride": "{result.ride}"},
                "done_match": {"path": "state.floor", "equals": "{args.floor}"},
                "interval_sec": 10,
                "timeout_sec": 60,
                "max_polls": 6,
                "on_done": {"mode": "chat", "message": "on floor {poll.state.floor}"},
                "progress": {"show": True, "message": "poll {poll_count}/{max_polls}"},
            },
        },
        "get_lift": {
            "description": "Reads it.",
            "protocol": "http",
            "parameters": {"ride": {"type": "integer", "required": True}},
            "request": {"method": "GET", "url": "{settings.base_url}/lift/{args.ride}"},
        },
    },
}


@pytest.fixture
def small() -> dict[str, Any]:
    """Return a manifest that is valid, to be changed by the test."""
    return copy.deepcopy(SMALL)


@pytest.fixture
def tp_yaml() -> dict[str, Any]:
    """Return TP's own manifest as plain data, read without the loader under test."""
    document: dict[str, Any] = yaml.safe_load((REPOSITORY / "connectors" / "tp.yaml").read_text(encoding="utf-8"))
    return document
