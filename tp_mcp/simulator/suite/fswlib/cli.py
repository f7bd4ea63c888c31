"""A session on the appliance's CLI."""

import logging
import re

from fswlib.transport import Console

log = logging.getLogger("fswlib.cli")
COMMAND_SECONDS = 1.5
FAILED = re.compile(r"Command fail\. Return code (-?\d+)")


class CommandError(AssertionError):
    """The appliance answered a command with an error."""


class CliSession:
    def __init__(self, host, port, pace):
        self._console = Console(host, port)
        self._pace = pace
        self.hostname = ""

    def __enter__(self):
        self.hostname = self._console.read_to_prompt().removesuffix(" # ")
        return self

    def __exit__(self, *_):
        self._console.close()

    def run(self, command):
        """Return the output of a command, whatever it is."""
        self._pace.wait(COMMAND_SECONDS)
        self._console.send(command)
        output = self._console.read_to_prompt().rsplit("\n", 1)
        text = output[0] if len(output) == 2 else ""
        log.info("%s # %s\n%s", self.hostname, command, text)
        return text

    def run_ok(self, command):
        """Return the output of a command that has to succeed."""
        output = self.run(command)
        self._raise_for_failure(command, output)
        return output

    def _raise_for_failure(self, command, output):
        failed = FAILED.search(output)
        if failed:
            raise CommandError(f"{command!r} failed with code {failed[1]}:\n{output}")
