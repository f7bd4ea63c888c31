"""One run: every tool is called with hostile values, and TP's own record shows what was sent."""

import io
import json
import logging
import sqlite3
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import stamina
from mcp import Client, MCPError
from mcp.types import TextContent
from pydantic import JsonValue

from tests.fuzz.values import Fuzzed, Values
from tests.server.conftest import IDENTITY
from tests.support.world import World, open_world
from tp_mcp.redaction import RedactingFilter, Redactor
from tp_mcp.server.app import TpServer
from tp_mcp.server.backend import Backend
from tp_mcp.server.toolset import ALL_TOOLS
from tp_mcp.tools.framework.services import Services
from tp_mcp.watch.model.watch import Watch

RESULT_CHARACTERS = 16_000
RESULT_BYTES = 30_000
ERROR_CHARACTERS = 8_000
CALLS_BETWEEN_STEPS = 25
STEP_SECONDS = 20.0
PASSWORDS = ("Hunter2-Fuzz-Secret", "pw%with+signs/7731", "quoted'pass\"word'55")
INTERNAL = "internal reason"
SHOWN_CHARACTERS = 300


@dataclass
class Findings:
    """What a run found.

    Attributes:
        calls: how many there were, by what came of them.
        unsendable: how many had a value that must not be sent.
        sent: how many writes got to TP.
        tools: how many calls of each tool.
        wrong: what must not be, in words.
    """

    calls: Counter[str] = field(default_factory=Counter)
    unsendable: int = 0
    sent: int = 0
    tools: Counter[str] = field(default_factory=Counter)
    files: int = 0
    wrong: list[str] = field(default_factory=list)

    def told(self) -> str:
        """Return the counts in a line."""
        return (
            f"{self.calls.total()} calls of {len(self.tools)} tools: {self.calls['answered']} answered, "
            f"{self.calls['refused']} refused; {self.unsendable} with a value that must not be sent; "
            f"{self.sent} writes got to TP; {self.files} files searched for secrets; {len(self.wrong)} findings"
        )


async def run(seed: int, calls: int, state_dir: Path, *, tree: JsonValue = None) -> Findings:
    """Make so many calls, and look for what must not be."""
    findings, log = Findings(), io.StringIO()
    with stamina.set_testing(True, attempts=2, cap=True), logged(log) as redact:
        async with open_world(state_dir, tree=tree) as world, connected(world) as client:
            secrets = secrets_of(world)
            redact.addFilter(RedactingFilter(Redactor(world.services.tp.client.secrets)))
            values = Values(seed, {tool.name: tool.schema() for tool in ALL_TOOLS}, PASSWORDS)
            for number in range(calls):
                known: dict[str, Sequence[object]] = {
                    "watch_id": [each.id for each in await watches_in(world)][-5:],
                    "exec_id": [446, 447],
                }
                await one(values.call(known), client, world, findings, secrets)
                if number % CALLS_BETWEEN_STEPS == 0:
                    await world.advance(STEP_SECONDS)
            # What was minted meanwhile too.
            secrets = secrets | secrets_of(world)
            findings.sent = len(world.written)
    findings.wrong += [f"the log has the secret {name}" for name in found_in(log.getvalue(), secrets)]
    for path, text in texts_of(state_dir):
        findings.files += 1
        findings.wrong += [f"{path} has the secret {name}" for name in found_in(text, secrets)]
    return findings


async def watches_in(world: World) -> tuple[Watch, ...]:
    return await world.services.watches.registry.list(IDENTITY.owner(None), all_conversations=True)


async def one(fuzzed: Fuzzed, client: Client, world: World, findings: Findings, secrets: dict[str, str]) -> None:
    """Make one call, and look at what came of it."""
    sent = len(world.written)
    what = f"{fuzzed.tool}({fuzzed.arguments!r})"[:SHOWN_CHARACTERS]
    findings.tools[fuzzed.tool] += 1
    findings.unsendable += fuzzed.unsendable
    try:
        result = await client.call_tool(fuzzed.tool, fuzzed.arguments)
    except MCPError as error:
        findings.wrong.append(f"{what} ended in a protocol error: {error}")
        return
    findings.calls["refused" if result.is_error else "answered"] += 1
    text = "".join(content.text for content in result.content if isinstance(content, TextContent))
    if INTERNAL in text:
        findings.wrong.append(f"{what} crashed")
    if fuzzed.unsendable and not result.is_error:
        findings.wrong.append(f"{what} was not refused: {text[:SHOWN_CHARACTERS]}")
    if fuzzed.unsendable and len(world.written) > sent:
        findings.wrong.append(f"{what} got to TP")
    if len(text) > (ERROR_CHARACTERS if result.is_error else RESULT_CHARACTERS) or len(text.encode()) > RESULT_BYTES:
        findings.wrong.append(f"{what} was answered with {len(text)} characters")
    leaked = {*found_in(text, secrets), *found_in(result.model_dump_json(), secrets)}
    findings.wrong += [f"{what} was answered with the secret {name}" for name in sorted(leaked)]


@asynccontextmanager
async def connected(world: World) -> AsyncIterator[Client]:
    """Connect a client to a server with every tool."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Services]:
        yield world.services

    clock = world.services.clock
    server = TpServer(Backend(opened, clock), IDENTITY, clock, lambda: ALL_TOOLS)
    async with Client(server) as client:
        yield client


def secrets_of(world: World) -> dict[str, str]:
    """Return every secret of a world by a name for it: the logins', the tokens that TP gave, passwords of commands."""
    users = {f"password of {name}": user.password for name, user in world.simulator.state.users.items()}
    learnt = {
        f"known {each.get_secret_value()[-6:]}": each.get_secret_value() for each in world.services.tp.client.secrets
    }
    return {**users, **{f"password {each}": each for each in PASSWORDS}, **learnt}


def found_in(text: str, secrets: dict[str, str]) -> list[str]:
    """Return the names of the secrets that a text has."""
    return [name for name, secret in secrets.items() if secret in text or json.dumps(secret)[1:-1] in text]


@contextmanager
def logged(log: io.StringIO) -> Iterator[logging.Handler]:
    """Write everything that this project logs, as a server does that logs all there is."""
    handler = logging.StreamHandler(log)
    logger = logging.getLogger("tp_mcp")
    before = logger.level, logger.propagate
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before


def texts_of(directory: Path) -> Iterator[tuple[str, str]]:
    """Yield every file below a directory as text, and of a database also what its rows have compressed."""
    for path in sorted(each for each in directory.rglob("*") if each.is_file()):
        yield str(path.relative_to(directory)), path.read_bytes().decode("utf-8", "replace")
        if path.suffix == ".sqlite3":
            with closing(sqlite3.connect(path)) as database:
                yield f"dump of {path.name}", "\n".join(database.iterdump())
                yield f"blobs of {path.name}", "\n".join(_blobs(database))


def _blobs(database: sqlite3.Connection) -> Iterator[str]:
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for table in tables:
        for row in database.execute(f'SELECT * FROM "{table}"'):
            for value in row:
                if isinstance(value, bytes):
                    try:
                        yield zlib.decompress(value).decode("utf-8", "replace")
                    except zlib.error:
                        yield value.decode("utf-8", "replace")
