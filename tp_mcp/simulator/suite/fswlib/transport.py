"""The line to the appliance's console."""

import socket

TIMEOUT_SECONDS = 10
PROMPT = " # "


class ConsoleClosed(ConnectionError):
    """The appliance does not answer on its console."""


class Console:
    def __init__(self, host, port):
        self._socket = socket.create_connection((host, port), timeout=TIMEOUT_SECONDS)

    def close(self):
        self._socket.close()

    def send(self, line):
        self._socket.sendall(line.encode() + b"\n")

    def read_to_prompt(self):
        received = b""
        while not received.endswith(PROMPT.encode()):
            part = self._socket.recv(65536)
            if not part:
                raise ConsoleClosed("the appliance closed the console: it is rebooting or switched off")
            received += part
        return received.decode()
