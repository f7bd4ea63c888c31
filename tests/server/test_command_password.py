"""The password of a restore command, which TP echoes in the session of the device, is neither shown nor stored."""

import re
from pathlib import Path

import pytest

from tests.server.conftest import Chat
from tests.support.process import LAB
from tp_mcp.simulator.faults import Fault

PASSWORD = "Hunter2Secret"
COMMAND = f"execute restore image scp /builds/fsw/6957/image.out 10.1.1.1 builder {PASSWORD}"


@pytest.mark.parametrize("fault", [None, "drop"])
async def test_the_password_of_a_command_is_in_no_result_and_in_no_file(
    chat: Chat, tmp_path: Path, fault: str | None
) -> None:
    told: list[str] = []
    echoed = False

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append(message or "")

    async def call(name: str, **arguments: object) -> None:
        result = await chat.client.call_tool(name, arguments, progress_callback=note)
        told.append(result.model_dump_json())

    if fault is not None:
        chat.world.simulator.state.faults.add(Fault(endpoint="start_upgrade", kind=fault, when="after"))
    await call("start_upgrade", testbed=LAB, mode="command", command=COMMAND)
    watch_id = re.findall(r"\[(w_\w{8})\]", told[-1])[0]
    message = "{poll.per_device.0.log_tail} {poll.per_device} {poll}"
    await call("start_watch", tool="get_upgrade", args={"testbed": LAB}, message=message)
    for _ in range(20):
        await chat.world.advance(16)
        echoed |= PASSWORD in (await chat.world.services.tp.client.get_upgrade(LAB)).per_device[0].log_tail
        await call("get_upgrade", testbed=LAB)
        await call("wait_for_watch", watch_id=watch_id, max_wait_seconds=0)
        await call("list_watches", state="all")
    assert echoed, "TP never echoed the command"
    assert any("SUCCESS" in text for text in told)
    stored = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert any(b"upgrade" in content for content in stored.values())
    assert [name for name, content in stored.items() if PASSWORD.encode() in content] == []
    assert [text for text in told if PASSWORD in text] == []
