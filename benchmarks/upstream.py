"""A server in a process of its own that answers every request with the same execution, as cheaply as Python can.

`python -m benchmarks.upstream` prints its port and serves until it is killed. The log grows with every answer, as that
of a run which is alive. `GET /end` lets every execution be `Done` from then on; `GET /ended` tells when each was first
answered to be, by the last part of its path, in seconds since the epoch.
"""

import asyncio
import json
import time

LOG_TAIL = "\n".join(f"Tests_CLI/test_vlan.py::TestVlan::test_number_{number:03} PASSED" for number in range(35))
EXECUTION = {
    "exec_id": 446,
    "lab": "AT16_Combined_FSW",
    "status": "Running",
    "controller": "10.15.52.159",
    "user": "demo",
    "testcase": ["Tests_CLI"],
    "pass_count": 12,
    "fail_count": 1,
    "skip_count": 0,
    "error_count": 0,
    "total_count": 60,
    "report_file_path": "",
    "started_at": "2026-05-28T18:14:19+00:00",
    "ended_at": None,
    "log_tail": LOG_TAIL,
}
END_OF_HEADERS = b"\r\n\r\n"


class Upstream(asyncio.Protocol):
    """One connection."""

    answers = 0
    all_done = False
    done_at: dict[str, float] = {}  # noqa: RUF012 -- one process has one upstream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Answer each request; a GET has no body."""
        self._received += data
        while END_OF_HEADERS in self._received:
            head, _, self._received = self._received.partition(END_OF_HEADERS)
            body = json.dumps(self._answer(head.split()[1].decode())).encode()
            lines = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            self._transport.write(lines.encode() + body)  # type: ignore[attr-defined]  # it is a TCP connection

    def _answer(self, path: str) -> object:
        Upstream.answers += 1
        if path == "/end":
            Upstream.all_done = True
        if path in {"/end", "/ended"}:
            return Upstream.done_at
        name = path.rstrip("/").rpartition("/")[2]
        if self.all_done:
            self.done_at.setdefault(name, time.time())
        status = "Done" if self.all_done else "Running"
        return EXECUTION | {"exec_id": int(name), "status": status, "log_size": 2_000 + self.answers}


async def main() -> None:
    """Serve."""
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
